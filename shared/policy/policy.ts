/**
 * The routing policy: the streams, their permitted places, and the weights of the choice. It never holds a
 * secret. The names follow the field's configuration vocabulary (services, redundancy, data_residency,
 * preferred_providers, …).
 */
import { z } from 'zod';
import { byteSize, duration, identifier } from '../config/kinds.ts';
import type { Tariff } from '../pricing/tariff.ts';
import { topicFilterProblem } from './topic-filter.ts';

/** Zone → regions. The defaults of the reference model; a policy may add or replace zones. */
const DEFAULT_ZONES = {
  us: ['us-east-1', 'us-east-2', 'us-west-2', 'eastus', 'westus2', 'us-central1', 'us-east1'],
  eu: ['eu-west-1', 'eu-central-1', 'westeurope', 'northeurope', 'europe-west1', 'europe-west3'],
  asia: ['ap-southeast-1', 'southeastasia', 'asia-southeast1'],
};

export const topicFilter = z.string().superRefine((filter, context) => {
  const problem = topicFilterProblem(filter);
  if (problem !== null) context.addIssue({ code: 'custom', message: `not an MQTT topic filter: ${problem}` });
});

/** Streams keep their written order; JavaScript would reorder names that consist of digits. */
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
      .describe(
        'Copies: number of different providers that must accept a record before it leaves the buffer.',
      ),
    mode: z
      .enum(['failover', 'redundant', 'split'])
      .optional()
      .describe(
        '`failover`: one provider at a time. `redundant`: `redundancy` providers at once. `split`: all eligible providers share the envelopes. Default: `failover` with `redundancy` 1, else `redundant`.',
      ),
    shares: z
      .record(identifier(), z.number().positive())
      .default({})
      .describe(
        'For mode `split`: weight of each provider. A provider without a weight gets envelopes only when no other can take them. Without any weights, the scores are the weights.',
      ),
    until: z
      .enum(['cloud', 'receipt'])
      .default('cloud')
      .describe(
        'When a record leaves the buffer. `cloud`: when its copies are accepted. `receipt`: when the router’s receipt covers it too, so that records a provider accepts and loses are sent again; needs downlinks.',
      ),
    data_residency: z
      .string()
      .optional()
      .describe('Zone of compliance.data_residency that the records never leave, under no circumstances.'),
    preferred_providers: z
      .array(identifier())
      .default([])
      .describe(
        'Providers to use while they are eligible, in this order. The score decides among the others.',
      ),
    seal: z
      .boolean()
      .default(false)
      .describe(
        'Whether envelopes are sealed to the routers’ keys: clouds see ciphertext, names and sizes. Needs signing.envelopes and router_seal_keys.',
      ),
    linger: duration().default(200).describe('Longest wait of a record for others to share its envelope.'),
    envelope_bytes: z
      .int()
      .min(512)
      .max(131_072)
      .default(4000)
      .describe(
        'Target size of live envelopes. 4000 with properties fits one metering unit on AWS and IoT Hub.',
      ),
    durability: z
      .union([
        z.enum(['fsync', 'memory']),
        z.strictObject({
          interval: duration()
            .refine((ms) => ms >= 10 && ms <= 60_000, 'expected 10ms to 60s')
            .describe(
              'Longest time that an acknowledged record stays unwritten. When the oldest is twice as old, publishes are acknowledged as with fsync.',
            ),
        }),
      ])
      .default('fsync')
      .describe(
        'When a publish is acknowledged. `fsync`: when its record is on disk. `interval`: at once; the record is written within the interval, which spares an SD card. `memory`: at once; the record is never written.',
      ),
    priority: z
      .int()
      .min(0)
      .max(9)
      .default(5)
      .describe('Priority in a full buffer: records of streams with a lower value are given up first.'),
    max_bytes: byteSize().optional().describe('Most record bytes of the stream in the buffer.'),
    max_age: duration().optional().describe('Records older than this are given up.'),
    when_full: z
      .enum(['evict', 'reject'])
      .default('evict')
      .describe(
        'Without room in the buffer. `evict`: give up the oldest records, and report the gap to the router. `reject`: do not acknowledge new records; devices may repeat them.',
      ),
    backlog_share: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe(
        'Smallest share of the envelopes for records of an outage while live records, which go first, wait too.',
      ),
  })
  .describe('A named class of records with its own residency, copies and sequence.');

export type StreamPolicy = z.output<typeof streamSchema>;

/** Contradictions between mode, redundancy and shares: the option at fault, and the error. */
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

/** In USD; also applied to recorded policies from before the option. */
export const PROBE_BUDGET_USD = 0.5;

const weightsSchema = z
  .strictObject({
    cost: z.number().min(0).max(1).default(0.3).describe('Weight of the cost of the next envelope.'),
    performance: z.number().min(0).max(1).default(0.25).describe('Weight of measured latency and goodput.'),
    compliance: z
      .number()
      .min(0)
      .max(1)
      .default(0.25)
      .describe('Weight of the held share of the required certifications.'),
    reliability: z
      .number()
      .min(0)
      .max(1)
      .default(0.2)
      .describe('Weight of the measured success rate, blended with the SLA while samples are few.'),
  })
  .refine((w) => Math.abs(w.cost + w.performance + w.compliance + w.reliability - 1) < 1e-9, {
    message: 'the four weights must sum to 1',
  });

export const policySchema = z
  .strictObject({
    version: z
      .int()
      .min(1)
      .default(1)
      .describe('Version of the policy, chosen by its author; explain --at shows it.'),
    streams: z
      .record(streamName, streamSchema)
      .default({ telemetry: streamSchema.parse({ topics: ['#'] }) })
      .describe(
        'Streams by name, in order: the first stream with a matching topic filter takes the publish. One stream must have the filter "#".',
      ),
    compliance: z
      .strictObject({
        required_certifications: z
          .array(z.string())
          .default([])
          .describe('Certifications that a provider must hold, by its price sheet, to get any record.'),
        own_certifications: z
          .array(z.string().min(1))
          .default([])
          .describe(
            'Further names allowed in required_certifications. config check reports other unknown names as typing errors.',
          ),
        own_regions: z
          .array(z.string().min(1))
          .default([])
          .describe(
            'Further regions allowed in providers and zones. config check reports other unknown regions as typing errors.',
          ),
        data_residency: z
          .record(identifier(), z.array(z.string()).min(1))
          .default(DEFAULT_ZONES)
          .describe('Regions of each zone. Zones set here replace the built-in zones.'),
      })
      .prefault({})
      .describe('Certifications and zones: gates that no outage opens.'),
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
            'At the end of the budget. `hold`: every provider whose next envelope costs something is put on hold, and records wait for the next month. `alert`: only warn.',
          ),
        probe_budget: z
          .number()
          .nonnegative()
          .default(PROBE_BUDGET_USD)
          .describe(
            'Most USD that the probes of one provider may cost in a month, by its tariff; their interval follows. Probes that look for the end of an outage go at least every 5 s at any cost.',
          ),
      })
      .prefault({})
      .describe('The monthly budget, and the limits that follow from it.'),
    scoring: z
      .strictObject({
        form: z
          .enum(['default', 'reference'])
          .default('default')
          .describe(
            'default: the parts of the score come from measurements and the next envelope’s price. reference: the formulas of the reference model.',
          ),
        weights: weightsSchema
          .prefault({})
          .describe('Weights of the four parts of the score; they sum to 1.'),
      })
      .prefault({})
      .describe('The score by which eligible providers are compared.'),
    failover: z
      .strictObject({
        margin: z
          .number()
          .min(0)
          .max(1)
          .default(0.05)
          .describe('Lead in the score that another provider needs before a stream moves to it by choice.'),
        dwell: duration()
          .default(10_000)
          .describe('Shortest use of a provider before a stream leaves it by choice.'),
        failures_to_open: z
          .int()
          .min(1)
          .max(100)
          .default(2)
          .describe('Consecutive failures that open a provider’s circuit breaker.'),
        open_for: duration()
          .default(2000)
          .describe('First pause of an open breaker; doubles up to open_max.'),
        open_max: duration()
          .default(5000)
          .describe(
            'Longest pause of an open breaker. A recovered provider is detected after at most this pause, one deadline and probes_to_close probes.',
          ),
        probes_to_close: z.int().min(1).max(20).default(2).describe('Accepted probes that close a breaker.'),
        standby_probe: duration().default(30_000).describe('Interval of probes at an idle provider.'),
        deadline_min: duration().default(750).describe('Shortest adaptive deadline of one publish.'),
        deadline_max: duration().default(3000).describe('Longest adaptive deadline of one publish.'),
        upload_max: duration()
          .default(300_000)
          .describe(
            'Longest time of one publish of a single large record. A record that misses its deadline gets twice the time at its next try, up to this; a record that no provider accepts within it is given up with a gap. Nothing else is sent to that provider meanwhile, live records included: they would share a thin uplink, often one connection, and both would miss their deadlines. They go to another provider, or wait.',
          ),
        receipt_lag: duration()
          .refine((ms) => ms >= 1000, 'expected at least 1s')
          .default(10_000)
          .describe(
            'A record that a provider acknowledged and that no receipt covers after this time is sent again through another provider, and the provider is put on hold. It must exceed the longest delivery time to the ledger.',
          ),
      })
      .prefault({})
      .describe('Failure detection, failover and failback.'),
    hedge: z
      .strictObject({
        enabled: z
          .boolean()
          .default(true)
          .describe(
            'Hedging: a live envelope that a provider has not answered in its usual time goes to the next provider as well, and the first acceptance counts.',
          ),
        delay_min: duration()
          .default(100)
          .describe('Shortest hedge delay. The delay is twice the provider’s p95 latency.'),
        delay_max: duration()
          .default(1000)
          .describe('Longest hedge delay, and the delay without samples; never less than the p95.'),
        share: z.number().min(0).max(1).default(0.05).describe('Largest share of publishes that are hedged.'),
        burst: z
          .int()
          .min(0)
          .max(1000)
          .default(10)
          .describe('Hedges that may be sent at once, saved up from share.'),
        backlog: z
          .boolean()
          .default(false)
          .describe(
            'Also hedge envelopes of the backlog. This raises their cost, and only shortens the backlog’s latency.',
          ),
      })
      .prefault({})
      .describe('Hedging of slow publishes. It stops when cost.alert_threshold of the budget is spent.'),
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

/** The properties of a configured provider that scoring and gates use. */
export interface ProviderFacts {
  name: string;
  type: string;
  region: string;
  enabled: boolean;
  /** The lower value wins at equal scores. */
  priority: number;
  /** Service level in percent, for example 99.9. */
  slaPercent: number;
  certifications: readonly string[];
  /** The provider's prices; default: the shipped price sheet. */
  tariff?: Tariff;
}
