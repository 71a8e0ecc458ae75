/**
 * agent.yaml: one gateway. docs/reference/agent-yaml.md is generated from this schema. Checks across the
 * providers and the policy are in shared/policy/policy-check.ts, because the policy may be in a file of its
 * own.
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
import { encryptionKey } from '../../shared/sqlite/encryption-key.ts';
import { loadTariffs } from '../cost/tariffs.ts';
import { downlinkIssues } from '../downlink/options.ts';
import { receiptTrustSchema } from '../downlink/router-keys.ts';
import { twinIssues } from '../downlink/twin-check.ts';
import { downlinkSchema } from '../downlink/types.ts';
import { routerSealKeys, sealIssues } from '../keys/sealing.ts';
import { signingSchema } from '../keys/signing.ts';
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
      .describe('Days older than this are deleted, by a synchronised clock.'),
    max_bytes: byteSize()
      .refine((bytes) => bytes >= MIN_HISTORY_BYTES, 'expected at least 1MiB')
      .default(32 * 2 ** 20)
      .describe('Most bytes of the files in <data_dir>/history; the oldest are deleted first.'),
    write_every: duration()
      .refine((ms) => ms >= 100 && ms <= 600_000, 'expected 100ms to 10m')
      .default(60_000)
      .describe('Interval between writes; a kill loses at most this much of the history.'),
  })
  .describe(
    'The history of deliveries and routing decisions, for headgate where, explain --at and simulate. It holds no records.',
  );

const clockSchema = z
  .strictObject({
    synchronised: z
      .enum(['auto', 'assume', 'never'])
      .default('auto')
      .describe(
        'Source of the synchronisation state of the wall clock. auto: systemd-timesyncd, or timedatectl for chrony and others. assume: always synchronised, for systems without both. never: never synchronised.',
      ),
  })
  .prefault({})
  .describe('The wall clock. Times of records taken before its synchronisation are corrected afterwards.');

/** With less, a few envelopes and SQLite's own pages would not fit. */
const MIN_BUFFER_BYTES = 2 ** 20;

const bufferSchema = z
  .strictObject({
    max_bytes: byteSize()
      .refine((bytes) => bytes >= MIN_BUFFER_BYTES, 'expected at least 1MiB')
      .default(2 * 2 ** 30)
      .describe(
        'Most bytes of the buffer’s file and its write-ahead log. Above it the streams’ when_full and priority apply.',
      ),
    disk_reserve: byteSize()
      .default(16 * 2 ** 20)
      .describe(
        'Space reserved beside the buffer. It is released when the disk is full, so that waiting records can still be delivered and deleted. 0B: none.',
      ),
    encryption_key: encryptionKey()
      .optional()
      .describe(
        'Encrypts the buffer’s file with this key, 32 random bytes as 64 hex digits or base64; give it as a reference to a file. Needs the package better-sqlite3-multiple-ciphers. Default: the file is in clear.',
      ),
  })
  .prefault({})
  .describe('The durable buffer: records wait here, on disk, until they are delivered.');

const auditSchema = z
  .strictObject({
    ship: z
      .boolean()
      .default(false)
      .describe(
        'Whether the entries of the audit log leave as records of the stream `_audit`, so that the router’s ledger has a copy: about 450 bytes an entry, two entries a change.',
      ),
  })
  .describe('The log of who changed what on this gateway, in <data_dir>/audit: headgate audit.');

/** The schema of agent.yaml for a program with these provider types. */
function agentSchemaOf<Entry extends ProviderEntry>(types: ProviderTypes<Entry>) {
  return z
    .strictObject({
      gateway: identifier().describe('The name of this gateway, unique in the fleet.'),
      data_dir: dataDir(),
      log: logSchema.prefault({}),
      admin: adminSchema(9464).prefault({}),
      clock: clockSchema,
      broker: brokerSchema.prefault({}),
      buffer: bufferSchema,
      history: historySchema.prefault({}),
      audit: auditSchema.prefault({}),
      signing: signingSchema.prefault({}),
      router_seal_keys: routerSealKeys,
      providers: uniqueNames(z.array(providerSchema(types)).min(1), 'provider').describe(
        'The clouds this gateway can publish to.',
      ),
      downlinks: uniqueNames(z.array(downlinkSchema).max(4), 'downlink')
        .default([])
        .describe('How the router’s receipts reach this gateway.'),
      receipts: receiptTrustSchema.prefault({}),
      policy: policySchema
        .optional()
        .describe('The routing policy, as part of this file; give policy or policy_file.'),
      policy_file: z
        .string()
        .min(1)
        .optional()
        .describe(
          'The routing policy, in a file of its own; a relative path starts at this file. A change takes effect without a restart.',
        ),
    })
    .superRefine(
      (config, context) => {
        for (const issue of inlinePolicyIssues(config)) context.addIssue({ code: 'custom', ...issue });
      },
      // Runs also when there are mistakes elsewhere, so that one report has them all; not when the policy
      // itself is invalid.
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

interface PolicySections {
  policy?: Policy | undefined;
  policy_file?: string | undefined;
  providers: unknown;
  downlinks: unknown;
  router_seal_keys?: unknown;
  signing?: unknown;
}

/** Problems of the other sections that the policy causes. */
function sectionIssues(policy: Policy, sections: Omit<PolicySections, 'policy' | 'policy_file'>) {
  return [
    ...policyIssues(policy, named(sections.providers)),
    ...downlinkIssues(policy, count(sections.downlinks)),
    ...sealIssues(policy, sections),
  ];
}

/** The issues of `policy` with `policy_file`, and with the entries that it is for. */
function inlinePolicyIssues({ policy, policy_file: policyFile, ...sections }: PolicySections) {
  if (policy === undefined) return [];
  const found = sectionIssues(policy, sections).map((issue) => ({
    ...issue,
    path: ['policy', ...issue.path],
  }));
  if (policyFile === undefined) return found;
  const twice = 'policy and policy_file are both given';
  return [{ path: ['policy_file'], message: twice, params: { hint: 'keep one of the two' } }, ...found];
}

export const agentConfigSchema = agentSchemaOf<ProviderConfig>(PROVIDER_TYPES);

/**
 * The providers for the check across sections. Empty when a name is missing, because the check would then
 * guess.
 */
function named(providers: unknown): z.output<typeof namedEntries> {
  return namedEntries.safeParse(providers).data ?? [];
}

/** The number of entries; 0 for a value that is not a list. */
function count(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}

/** The agent's configuration with its policy and price sheets loaded. */
export type AgentConfig = Omit<z.output<typeof agentConfigSchema>, 'policy' | 'policy_file' | 'providers'> & {
  policy: Policy;
  providers: ProviderEntry[];
  /** By provider name. */
  tariffs: ReadonlyMap<string, Tariff>;
  /** The file of the policy; null where it is part of agent.yaml. */
  policyFile: string | null;
  /** The table of provider types that the configuration was read with. */
  providerTypes: ProviderTypes;
};

/**
 * Reads agent.yaml and the policy and price sheets that it names. Returns the configuration, or every mistake
 * in all of them.
 */
export function loadAgentConfig(
  file: string,
  sources: ReferenceSources = systemSources,
  providerTypes: ProviderTypes = PROVIDER_TYPES,
): ConfigResult<AgentConfig> {
  const opening = openConfig(file, sources);
  if (!opening.ok) return opening;
  const agent = validateConfig(opening.opened, agentSchemaOf(providerTypes));
  const named = valueAt(opening.opened.value, ['policy_file']);
  const policyFile = typeof named === 'string' ? resolve(dirname(file), named) : null;
  const policy = policyFile === null ? null : loadPolicy(policyFile, opening.opened.value, sources);
  const tariffs = agent.ok
    ? loadTariffs(file, agent.config.providers, { types: providerTypes, sources })
    : null;
  if (agent.ok && tariffs?.ok && (policy === null || policy.ok)) {
    const { policy: inline, policy_file: _, ...rest } = agent.config;
    const config = { ...rest, policy: policy?.config ?? inline ?? policySchema.parse({}) };
    return { ok: true, config: { ...config, tariffs: tariffs.config, policyFile, providerTypes } };
  }
  const problems = [agent, policy, tariffs].flatMap((result) =>
    result === null || result.ok ? [] : result.problems,
  );
  return { ok: false, problems };
}

/** Reads a policy file and checks it against the providers of `agentValue`. */
function loadPolicy(file: string, agentValue: unknown, sources: ReferenceSources): ConfigResult<Policy> {
  const opening = openConfig(file, sources);
  if (!opening.ok) return opening;
  const section = (name: string): unknown => valueAt(agentValue, [name]);
  const sections = {
    providers: section('providers'),
    downlinks: section('downlinks'),
    router_seal_keys: section('router_seal_keys'),
    signing: section('signing'),
  };
  const checked = policySchema.superRefine((policy, context) => {
    for (const issue of sectionIssues(policy, sections)) {
      context.addIssue({ code: 'custom', ...issue });
    }
  });
  return validateConfig(opening.opened, checked);
}
