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
import { type Policy, policySchema, topicFilter } from '../../shared/policy/policy.ts';
import { policyIssues } from '../../shared/policy/policy-check.ts';
import { HUB_TIERS } from '../../shared/pricing/prices.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import { listenerSchema } from '../broker/listeners/listener-schema.ts';
import { loadTariffs } from '../cost/tariffs.ts';
import { downlinkIssues, downlinkSchema } from '../downlink/options.ts';
import { twinIssues } from '../downlink/twin-check.ts';
import { awsOptions } from '../providers/aws/publisher.ts';
import { azureOptions } from '../providers/azure/publisher.ts';
import { gcpOptions } from '../providers/gcp/options.ts';
import { httpsOptions } from '../providers/https/options.ts';
import { mqttOptions } from '../providers/mqtt/options.ts';

const DAY_MS = 86_400_000;
const MIN_HISTORY_BYTES = 2 ** 20;

const providerCommon = {
  name: identifier().describe('Your name for it: in the policy, in metrics, in logs.'),
  enabled: z.boolean().default(true).describe('false: configured, never used.'),
  priority: z.int().min(0).max(1000).default(100).describe('Lower comes first where scores are equal.'),
  price_sheet: z
    .string()
    .min(1)
    .optional()
    .describe(
      'JSON or YAML file of prices that differ from those that ship; a relative path starts at this file.',
    ),
  account_share: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe(
      'This gateway’s share of the account’s free allotments, price tiers, and IoT Hub’s quota and fee: 0.01 where a hundred publish to it.',
    ),
};

const hub = {
  hub_tier: z.enum(HUB_TIERS).default('S1').describe('Tier of the IoT Hub.'),
  hub_units: z.int().min(1).max(200).default(1).describe('Units of that tier.'),
};

const providerSchema = z
  .discriminatedUnion('type', [
    awsOptions.safeExtend({ type: z.literal('aws'), ...providerCommon }).strict(),
    azureOptions.safeExtend({ type: z.literal('azure'), ...providerCommon, ...hub }).strict(),
    gcpOptions.safeExtend({ type: z.literal('gcp'), ...providerCommon }).strict(),
    mqttOptions.safeExtend({ type: z.literal('mqtt'), ...providerCommon }).strict(),
    httpsOptions.safeExtend({ type: z.literal('https'), ...providerCommon }).strict(),
  ])
  .describe('One cloud endpoint.');

export type ProviderConfig = z.output<typeof providerSchema>;

const sessionsSchema = z
  .strictObject({
    keep: z
      .boolean()
      .default(true)
      .describe('false: sessions, retained messages and queues are in memory only and end with the agent.'),
    max_sessions: z
      .int()
      .min(1)
      .max(100_000)
      .default(1000)
      .describe(
        'Clients with a session that outlives their connection (clean session off); more are refused.',
      ),
    expire_after: duration()
      .default(7 * 86_400_000)
      .describe('The session of a client that is away for longer ends.'),
    max_queued_messages: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(1000)
      .describe('Messages that wait for one client; more are not queued for it.'),
    max_queued_bytes: byteSize()
      .default(2 ** 20)
      .describe('Bytes that wait for one client.'),
    max_total_queued_bytes: byteSize()
      .default(32 * 2 ** 20)
      .describe('Bytes that wait for all clients together.'),
    max_retained_messages: z.int().min(0).max(1_000_000).default(10_000).describe('Retained messages.'),
    max_retained_bytes: byteSize()
      .default(16 * 2 ** 20)
      .describe('Their bytes.'),
  })
  .describe('What the broker keeps for devices that are away.');

const brokerSchema = z
  .strictObject({
    listeners: z
      .array(listenerSchema)
      .min(1)
      .default([
        {
          type: 'tcp',
          host: '127.0.0.1',
          port: 1883,
          trusted_network: false,
          auth: 'password',
          device_name: 'cn',
        },
      ])
      .describe('Where devices connect.'),
    allow_anonymous: z
      .boolean()
      .default(false)
      .describe('Also take clients without credentials, on listeners without TLS.'),
    max_packet_bytes: byteSize().default(262_144).describe('A larger MQTT packet ends its connection.'),
    connect_timeout: duration()
      .default(5000)
      .describe('A connection must send its CONNECT within this time.'),
    sessions: sessionsSchema.prefault({}),
    max_subscriptions: z
      .int()
      .min(1)
      .max(100_000)
      .default(100)
      .describe('Subscriptions that one client may have; further ones get return code 0x80.'),
    max_topic_bytes: byteSize()
      .default(1024)
      .describe('Longest topic name or filter. A longer one is refused like one that is not allowed.'),
    max_topic_levels: z.int().min(1).max(100).default(32).describe('Most levels of a topic name or filter.'),
    max_connect_rate: z
      .int()
      .min(0)
      .default(500)
      .describe('Connections that may begin in a second; four seconds’ worth at once. 0: no limit.'),
    max_connect_rate_per_address: z.int().min(0).default(100).describe('The same, from one address.'),
    max_publish_rate: z
      .int()
      .min(0)
      .default(1000)
      .describe(
        'Publishes of one client in a second; two seconds’ worth at once. A faster one is read from more slowly, and cut off after a minute. 0: no limit.',
      ),
    max_publish_bytes: byteSize()
      .default(2 ** 20)
      .describe('The same, in bytes of topic and payload. 0B: no limit.'),
    max_unsent_bytes: byteSize()
      .default(2 ** 20)
      .describe('What may wait to be sent to one client that does not take it; then its connection ends.'),
    local_topics: z
      .array(topicFilter)
      .default([])
      .describe(
        'Filters of topics that stay between devices: delivered, never recorded, and independent of the disk.',
      ),
    max_connections: z.int().min(1).max(100_000).default(1000).describe('Further connections are refused.'),
  })
  .describe('The MQTT broker that devices publish to.');

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

export const agentConfigSchema = z
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
    providers: uniqueNames(z.array(providerSchema).min(1), 'provider').describe(
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
export type AgentConfig = Omit<z.output<typeof agentConfigSchema>, 'policy' | 'policy_file'> & {
  policy: Policy;
  /** By name of the provider. */
  tariffs: ReadonlyMap<string, Tariff>;
};

/**
 * Reads agent.yaml, the policy and the price sheets it names: the configuration, or every mistake in all of
 * them.
 */
export function loadAgentConfig(
  file: string,
  sources: ReferenceSources = systemSources,
): ConfigResult<AgentConfig> {
  const opening = openConfig(file, sources);
  if (!opening.ok) return opening;
  const agent = validateConfig(opening.opened, agentConfigSchema);
  const policyFile = valueAt(opening.opened.value, ['policy_file']);
  const policy =
    typeof policyFile === 'string'
      ? loadPolicy(resolve(dirname(file), policyFile), opening.opened.value, sources)
      : null;
  const tariffs = agent.ok ? loadTariffs(file, agent.config.providers, sources) : null;
  if (agent.ok && tariffs?.ok && (policy === null || policy.ok)) {
    const { policy: inline, policy_file: _, ...rest } = agent.config;
    const config = { ...rest, policy: policy?.config ?? inline ?? policySchema.parse({}) };
    return { ok: true, config: { ...config, tariffs: tariffs.config } };
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
