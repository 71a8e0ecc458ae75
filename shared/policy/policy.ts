/**
 * The routing policy: which streams there are, where they may go, what counts in the choice. Never holds a
 * secret. The names follow the field's configuration vocabulary (services, redundancy, data_residency,
 * preferred_providers, …).
 */
import { z } from 'zod';
import { byteSize, duration, identifier } from '../config/kinds.ts';
import type { Tariff } from '../pricing/tariff.ts';
import { topicFilterProblem } from './topic-filter.ts';

/** Zone → regions. The defaults of the reference model; a policy may add zones or replace them. */
const DEFAULT_ZONES = {
  us: ['us-east-1', 'us-east-2', 'us-west-2', 'eastus', 'westus2', 'us-central1', 'us-east1'],
  eu: ['eu-west-1', 'eu-central-1', 'westeurope', 'northeurope', 'europe-west1', 'europe-west3'],
  asia: ['ap-southeast-1', 'southeastasia', 'asia-southeast1'],
};

export const topicFilter = z.string().superRefine((filter, context) => {
  const problem = topicFilterProblem(filter);
  if (problem !== null) context.addIssue({ code: 'custom', message: `not an MQTT topic filter: ${problem}` });
});

/** Stream names keep the order they are written in, which a name of digits only would not. */
const streamName = identifier().regex(/[a-z_-]/, 'expected at least one letter: the order of streams counts');

export const streamSchema = z
  .strictObject({
    topics: z
      .array(topicFilter)
      .min(1)
      .describe('MQTT topic filters; the first stream with a matching filter takes the publish.'),
    redundancy: z
      .int()
      .min(1)
      .max(8)
      .default(1)
      .describe('How many different providers must accept a record before its row is freed.'),
    mode: z
      .enum(['failover', 'redundant', 'split'])
      .optional()
      .describe(
        '`failover`: one provider at a time; `redundant`: as many at once as `redundancy` says; `split`: the envelopes are shared out over all eligible providers. Without it, as `redundancy` says.',
      ),
    shares: z
      .record(identifier(), z.number().positive())
      .default({})
      .describe(
        'Of a `split` stream: weight of each provider. One that is not named gets something only when none of these can take it; without any, the score is the weight.',
      ),
    until: z
      .enum(['cloud', 'receipt'])
      .default('cloud')
      .describe(
        'When a row is freed: when its copies are accepted; or when the router’s receipt covers it too, so that what a provider takes and loses is sent again. Needs downlinks.',
      ),
    data_residency: z
      .string()
      .optional()
      .describe('Zone (compliance.data_residency) that the records never leave, in no circumstance.'),
    preferred_providers: z
      .array(identifier())
      .default([])
      .describe('Used, in this order, while they are eligible; the score decides among the rest.'),
    linger: duration().default(200).describe('How long a record may wait for others to share its envelope.'),
    envelope_bytes: z
      .int()
      .min(512)
      .max(131_072)
      .default(4000)
      .describe(
        'Size that live envelopes aim at. 4000 with properties fits one metering unit on AWS and IoT Hub.',
      ),
    durability: z
      .union([
        z.enum(['fsync', 'memory']),
        z.strictObject({
          interval: duration()
            .refine((ms) => ms >= 10 && ms <= 60_000, 'expected 10ms to 60s')
            .describe(
              'Acknowledged from memory, written that much later. When the oldest that is not written is twice as old, acknowledged as with fsync.',
            ),
        }),
      ])
      .default('fsync')
      .describe(
        'When a publish is acknowledged: on the disk; from memory and written within the interval, to spare an SD card; or from memory, never written.',
      ),
    priority: z
      .int()
      .min(0)
      .max(9)
      .default(5)
      .describe('When the buffer is full, lower ones are given up first.'),
    max_bytes: byteSize().optional().describe('Most that the stream holds of the buffer.'),
    max_age: duration().optional().describe('Records older than this are given up.'),
    when_full: z
      .enum(['evict', 'reject'])
      .default('evict')
      .describe(
        'Without room: give up older records, which the router is told; or do not acknowledge new ones, which devices may repeat.',
      ),
    backlog_share: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe(
        'Live records go first; while records of an outage wait too, they get at least this share of the envelopes.',
      ),
  })
  .describe('A named class of records with its own residency, copies and sequence.');

export type StreamPolicy = z.output<typeof streamSchema>;

/**
 * Where mode, redundancy and shares contradict each other: the option at fault, and what is wrong with it.
 */
function modeProblems({ mode, redundancy, shares }: StreamPolicy): Array<[keyof StreamPolicy, string]> {
  const problems: Array<[keyof StreamPolicy, string]> = [];
  if (mode === 'redundant' && redundancy === 1) {
    problems.push([
      'redundancy',
      'mode "redundant" needs at least 2: how many providers each record goes to',
    ]);
  }
  if ((mode === 'failover' || mode === 'split') && redundancy > 1) {
    problems.push(['redundancy', `mode "${mode}" sends each record to one provider; "redundant" to several`]);
  }
  if (mode !== 'split' && Object.keys(shares).length > 0) {
    problems.push(['shares', 'only a stream with mode "split" is shared out']);
  }
  return problems;
}

/** In USD; also what held in policies that were recorded before there was one. */
export const PROBE_BUDGET_USD = 0.5;

const weightsSchema = z
  .strictObject({
    cost: z.number().min(0).max(1).default(0.3),
    performance: z.number().min(0).max(1).default(0.25),
    compliance: z.number().min(0).max(1).default(0.25),
    reliability: z.number().min(0).max(1).default(0.2),
  })
  .refine((w) => Math.abs(w.cost + w.performance + w.compliance + w.reliability - 1) < 1e-9, {
    message: 'the four weights must sum to 1',
  });

export const policySchema = z
  .strictObject({
    version: z.int().min(1).default(1),
    streams: z
      .record(streamName, streamSchema)
      .default({ telemetry: streamSchema.parse({ topics: ['#'] }) })
      .describe(
        'In order: the first stream with a matching topic filter takes the publish. One must take "#".',
      ),
    compliance: z
      .strictObject({
        required_certifications: z
          .array(z.string())
          .default([])
          .describe('Certifications that a provider must hold, by its price sheet, to get anything at all.'),
        own_certifications: z
          .array(z.string().min(1))
          .default([])
          .describe(
            'Names beside the usual ones that required_certifications may have: config check takes others for slips.',
          ),
        own_regions: z
          .array(z.string().min(1))
          .default([])
          .describe(
            'Regions beside the vendors’ known ones that providers and zones may name: config check takes others for slips.',
          ),
        data_residency: z
          .record(identifier(), z.array(z.string()).min(1))
          .default(DEFAULT_ZONES)
          .describe('Zone → its regions. Written here, it takes the place of the zones that ship.'),
      })
      .prefault({}),
    cost: z
      .strictObject({
        budget: z
          .number()
          .positive()
          .optional()
          .describe('Monthly budget in USD for all providers together.'),
        alert_threshold: z
          .number()
          .min(0)
          .max(1)
          .default(0.8)
          .describe('Share of the budget at which the log and the metrics warn.'),
        on_budget: z
          .enum(['hold', 'alert'])
          .default('hold')
          .describe(
            'At the budget: hold every provider whose next envelope costs something, so that records wait for the next month; or only warn.',
          ),
        probe_budget: z
          .number()
          .nonnegative()
          .default(PROBE_BUDGET_USD)
          .describe(
            'Most that probes of one provider may cost in a month, in USD, by its tariff: they are spaced out accordingly. Those that look for the end of an outage go every 5 s at least, whatever they cost.',
          ),
      })
      .prefault({}),
    scoring: z
      .strictObject({
        form: z.enum(['default', 'reference']).default('default'),
        weights: weightsSchema.prefault({}),
      })
      .prefault({}),
    failover: z
      .strictObject({
        margin: z.number().min(0).max(1).default(0.05).describe('A better provider must lead by this much…'),
        dwell: duration().default(10_000).describe('…and the present one must have been used this long.'),
        failures_to_open: z
          .int()
          .min(1)
          .max(100)
          .default(2)
          .describe('Consecutive failures that open a breaker.'),
        open_for: duration()
          .default(2000)
          .describe('First pause of an open breaker; doubles up to open_max.'),
        open_max: duration()
          .default(5000)
          .describe(
            'Longest pause between probes of a provider that is out. What it takes, a deadline and the probes, is how late its return is seen.',
          ),
        probes_to_close: z.int().min(1).max(20).default(2).describe('Accepted probes that close a breaker.'),
        standby_probe: duration().default(30_000).describe('An idle provider is probed this often.'),
        deadline_min: duration().default(750).describe('Bounds of the adaptive deadline of one publish.'),
        deadline_max: duration().default(3000),
        receipt_lag: duration()
          .refine((ms) => ms >= 1000, 'expected at least 1s')
          .default(10_000)
          .describe(
            'What a provider acknowledged and no receipt covers after so long is sent again through another, and the provider is put on hold. Longer than its way to the ledger ever takes.',
          ),
      })
      .prefault({}),
    hedge: z
      .strictObject({
        enabled: z
          .boolean()
          .default(true)
          .describe(
            'A live envelope that a provider has not answered in its usual time goes to the next one as well; the first answer counts.',
          ),
        delay_min: duration()
          .default(100)
          .describe('Bounds of the time after which it does: twice the provider’s p95…'),
        delay_max: duration()
          .default(1000)
          .describe('…this as long as it has no samples; never less than the p95.'),
        share: z
          .number()
          .min(0)
          .max(1)
          .default(0.05)
          .describe('Of the publishes, at most this share is sent twice for it…'),
        burst: z.int().min(0).max(1000).default(10).describe('…and so many at once.'),
        backlog: z
          .boolean()
          .default(false)
          .describe(
            'Also envelopes of the backlog, which nobody waits for: it doubles their cost for nothing but speed.',
          ),
      })
      .prefault({})
      .describe('None is sent once cost.alert_threshold of the budget is spent.'),
  })
  .superRefine((policy, context) => {
    for (const [name, stream] of Object.entries(policy.streams)) {
      for (const [option, message] of modeProblems(stream)) {
        context.addIssue({ code: 'custom', path: ['streams', name, option], message });
      }
      const zone = stream.data_residency;
      if (zone !== undefined && !Object.hasOwn(policy.compliance.data_residency, zone)) {
        context.addIssue({
          code: 'custom',
          path: ['streams', name, 'data_residency'],
          message: `zone "${zone}" is not defined; known zones: ${Object.keys(policy.compliance.data_residency).join(', ')}`,
        });
      }
    }
    if (!Object.values(policy.streams).some((stream) => stream.topics.includes('#'))) {
      context.addIssue({
        code: 'custom',
        path: ['streams'],
        message: 'one stream must have the topic filter "#", so that every publish has a stream',
      });
    }
  });

export type Policy = z.output<typeof policySchema>;

/** The facts of a configured provider that the scoring and the gates use. */
export interface ProviderFacts {
  name: string;
  type: string;
  region: string;
  enabled: boolean;
  /** Lower comes first where scores are equal. */
  priority: number;
  /** Service level in percent, for example 99.9. */
  slaPercent: number;
  certifications: readonly string[];
  /** Its prices; the shipped price sheet when absent. */
  tariff?: Tariff;
}
