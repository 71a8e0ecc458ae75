/**
 * agent.yaml: one gateway. The schema is the reference (docs/reference/agent-yaml.md is made from it);
 * checks that concern two sections at once stand in shared/policy/policy-check.ts, because the policy may
 * live in a file of its own.
 */
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { adminSchema, dataDir, logSchema, namedEntries, uniqueNames } from '../../shared/config/common.ts';
import { valueAt } from '../../shared/config/document.ts';
import { byteSize, duration, identifier } from '../../shared/config/kinds.ts';
import {
  type ConfigResult,
  openConfig,
  type ReferenceSources,
  systemSources,
  validateConfig,
} from '../../shared/config/load.ts';
import { type Policy, policySchema } from '../../shared/policy/policy.ts';
import { policyIssues } from '../../shared/policy/policy-check.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import { loadTariffs } from '../cost/tariffs.ts';
import { downlinkIssues, downlinkSchema } from '../downlink/options.ts';
import { twinIssues } from '../downlink/twin-check.ts';
import { providerSchema } from '../providers/config.ts';
import type { ProviderEntry, ProviderTypes } from '../providers/provider-type.ts';
import { PROVIDER_TYPES, type ProviderConfig } from '../providers/types.ts';
import { brokerSchema } from './broker.ts';

const DAY_MS = 86_400_000;
const MIN_HISTORY_BYTES = 2 ** 20;

const historySchema = z
  .strictObject({
    max_age: duration()
      .refine((ms) => ms >= DAY_MS, 'expected at least 1d')
      .default(7 * DAY_MS)
      .describe('Older days are deleted, by a synchronised clock.'),
    max_bytes: byteSize()
      .refine((bytes) => bytes >= MIN_HISTORY_BYTES, 'expected at least 1MiB')
      .default(32 * 2 ** 20)
      .describe('Most that it takes in <data_dir>/history; the oldest goes first.'),
    write_every: duration()
      .refine((ms) => ms >= 100 && ms <= 600_000, 'expected 100ms to 10m')
      .default(60_000)
      .describe('How often it is written: what a kill takes of it.'),
  })
  .describe('What headgate where, explain --at and simulate answer from. No records are in it.');

/** Smaller than a few envelopes and SQLite's own pages the buffer could not work. */
const MIN_BUFFER_BYTES = 2 ** 20;

/** The schema of agent.yaml for a program that knows these types of provider. */
function agentSchemaOf<Entry extends ProviderEntry>(types: ProviderTypes<Entry>) {
  return z
    .strictObject({
      gateway: identifier().describe('The name of this gateway, unique in the fleet.'),
      data_dir: dataDir(),
      log: logSchema.prefault({}),
      admin: adminSchema(9464).prefault({}),
      clock: z
        .strictObject({
          synchronised: z
            .enum(['auto', 'assume', 'never'])
            .default('auto')
            .describe(
              'Who says that the wall clock is right. auto: systemd-timesyncd, or timedatectl for chrony and others. assume: it always is, where neither is there to ask. never: it is not.',
            ),
        })
        .prefault({})
        .describe('Records taken before the clock is right are corrected once it is.'),
      broker: brokerSchema.prefault({}),
      buffer: z
        .strictObject({
          max_bytes: byteSize()
            .refine((bytes) => bytes >= MIN_BUFFER_BYTES, 'expected at least 1MiB')
            .default(2 * 2 ** 30)
            .describe(
              'Most that the buffer’s file and its log take. Above it the streams’ when_full and priority decide.',
            ),
          disk_reserve: byteSize()
            .default(16 * 2 ** 20)
            .describe(
              'Space set aside beside the buffer, given up when the disk is full, so that what waits can still be delivered and deleted. 0B: none.',
            ),
        })
        .prefault({})
        .describe('The durable buffer.'),
      history: historySchema.prefault({}),
      providers: uniqueNames(z.array(providerSchema(types)).min(1), 'provider').describe(
        'The clouds this gateway can publish to.',
      ),
      downlinks: uniqueNames(z.array(downlinkSchema).max(4), 'downlink')
        .default([])
        .describe('How the router’s receipts reach this gateway.'),
      policy: policySchema.optional().describe('The routing policy, written here…'),
      policy_file: z
        .string()
        .min(1)
        .optional()
        .describe('…or in a file of its own; a relative path starts at this file.'),
    })
    .superRefine(
      ({ policy, policy_file: policyFile, providers, downlinks }, context) => {
        if (policy !== undefined && policyFile !== undefined) {
          const params = { hint: 'keep one of the two' };
          context.addIssue({
            code: 'custom',
            path: ['policy_file'],
            message: 'policy and policy_file are both given',
            params,
          });
        }
        for (const issue of policy === undefined
          ? []
          : [...policyIssues(policy, named(providers)), ...downlinkIssues(policy, count(downlinks))]) {
          context.addIssue({ code: 'custom', ...issue, path: ['policy', ...issue.path] });
        }
      },
      // Beside mistakes elsewhere, so that one report has them all; not on a policy that is wrong itself.
      {
        when: ({ value, issues }) =>
          typeof value === 'object' &&
          value !== null &&
          issues.every(({ path }) => path?.[0] !== 'policy' && path?.[0] !== 'policy_file'),
      },
    )
    .superRefine(
      (config, context) => {
        for (const issue of twinIssues(config)) context.addIssue({ code: 'custom', ...issue });
      },
      { when: () => true },
    );
}

export const agentConfigSchema = agentSchemaOf<ProviderConfig>(PROVIDER_TYPES);

/**
 * The providers as far as the check across sections reads them; none when a name is missing, for then it
 * would guess.
 */
function named(providers: unknown): z.output<typeof namedEntries> {
  return namedEntries.safeParse(providers).data ?? [];
}

/** Entries of a list, as far as it is one. */
function count(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}

/** The agent's configuration with its policy and its prices in place, wherever they were written. */
export type AgentConfig = Omit<z.output<typeof agentConfigSchema>, 'policy' | 'policy_file' | 'providers'> & {
  policy: Policy;
  providers: ProviderEntry[];
  /** By name of the provider. */
  tariffs: ReadonlyMap<string, Tariff>;
  /** The types that the configuration was read by. */
  providerTypes: ProviderTypes;
};

/**
 * Reads agent.yaml, the policy and the price sheets it names: the configuration, or every mistake in all of
 * them.
 */
export function loadAgentConfig(
  file: string,
  sources: ReferenceSources = systemSources,
  providerTypes: ProviderTypes = PROVIDER_TYPES,
): ConfigResult<AgentConfig> {
  const opening = openConfig(file, sources);
  if (!opening.ok) return opening;
  const agent = validateConfig(opening.opened, agentSchemaOf(providerTypes));
  const policyFile = valueAt(opening.opened.value, ['policy_file']);
  const policy =
    typeof policyFile === 'string'
      ? loadPolicy(resolve(dirname(file), policyFile), opening.opened.value, sources)
      : null;
  const tariffs = agent.ok
    ? loadTariffs(file, agent.config.providers, { types: providerTypes, sources })
    : null;
  if (agent.ok && tariffs?.ok && (policy === null || policy.ok)) {
    const { policy: inline, policy_file: _, ...rest } = agent.config;
    const config = { ...rest, policy: policy?.config ?? inline ?? policySchema.parse({}) };
    return { ok: true, config: { ...config, tariffs: tariffs.config, providerTypes } };
  }
  const problems = [agent, policy, tariffs].flatMap((result) =>
    result === null || result.ok ? [] : result.problems,
  );
  return { ok: false, problems };
}

/** A policy file, checked against the providers of `agentValue`. */
function loadPolicy(file: string, agentValue: unknown, sources: ReferenceSources): ConfigResult<Policy> {
  const opening = openConfig(file, sources);
  if (!opening.ok) return opening;
  const providers = named(valueAt(agentValue, ['providers']));
  const downlinks = count(valueAt(agentValue, ['downlinks']));
  const checked = policySchema.superRefine((policy, context) => {
    for (const issue of [...policyIssues(policy, providers), ...downlinkIssues(policy, downlinks)]) {
      context.addIssue({ code: 'custom', ...issue });
    }
  });
  return validateConfig(opening.opened, checked);
}
