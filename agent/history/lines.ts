/**
 * The lines of the history. `m` is monotonic milliseconds since the boot that the preceding `clock` line
 * names (I7): readers map it to wall time by the best clock known for that boot. Keys are short because the
 * files are on SD cards. Readers skip unknown lines and keys, so an older program reads a newer file.
 */
import { z } from 'zod';
import { type Policy, PROBE_BUDGET_USD, type ProviderFacts } from '../../shared/policy/policy.ts';
import { GAP_REASONS } from '../../shared/record.ts';
import { OWN_HOLDS } from '../routing/core/reasons.ts';

/** Checks only the fields that a damaged line could harm; the rest was checked before it was written. */
const policyShape = z.looseObject({
  streams: z.record(
    z.string(),
    z.looseObject({
      redundancy: z.number(),
      envelope_bytes: z.number(),
      preferred_providers: z.array(z.string()),
    }),
  ),
  compliance: z.looseObject({
    data_residency: z.looseObject({}),
    required_certifications: z.array(z.string()),
  }),
  cost: z.looseObject({}),
  scoring: z.looseObject({ weights: z.looseObject({}) }),
  failover: z.looseObject({ deadline_max: z.number() }),
});
const factsShape = z.looseObject({
  name: z.string(),
  type: z.enum(['aws', 'azure', 'gcp', 'mqtt', 'https']),
  certifications: z.array(z.string()),
});
const healthKind = z.enum(['healthy', 'degraded', 'open', 'probing']);
const holdReason = z.enum(['manual', 'quota', 'budget', ...OWN_HOLDS]);

const mono = z.number();
const name = z.string();
/** `[first, last, first, last, …]`. */
const ranges = z.array(z.int().positive());

/**
 * The mapping of this boot's monotonic time to wall time: wall = m + off. Valid for the following lines too,
 * until a better one.
 */
const clockLine = z.object({
  k: z.literal('clock'),
  boot: z.string(),
  off: z.number(),
  q: z.enum(['synchronised', 'unsynchronised']),
});

/** A provider accepted these records between `m` and `m + d`. */
const tookLine = z.object({
  k: z.literal('took'),
  m: mono,
  d: z.number(),
  ep: name,
  s: name,
  p: name,
  r: ranges,
});

/** The buffer gave these records up. */
const gaveUpLine = z.object({
  k: z.literal('gave-up'),
  m: mono,
  d: z.number(),
  ep: name,
  s: name,
  why: z.enum(GAP_REASONS),
  r: ranges,
});

/** The policy in force from here on, and its providers. */
const setupLine = z.object({
  k: z.literal('setup'),
  m: mono,
  gw: name,
  policy: z
    .custom<Policy>((value) => policyShape.safeParse(value).success)
    // An older program's policy lacks it.
    .transform((policy) => ({
      ...policy,
      cost: { ...policy.cost, probe_budget: policy.cost.probe_budget ?? PROBE_BUDGET_USD },
    })),
  providers: z.array(z.custom<ProviderFacts>((value) => factsShape.safeParse(value).success)),
});

/**
 * Routing's state at this moment: the provider of each stream, each provider's health with its reason, its
 * holds.
 */
const stateLine = z.object({
  k: z.literal('state'),
  m: mono,
  /** Whether the agent has just started. */
  begins: z.boolean(),
  chosen: z.record(name, name.nullable()),
  health: z.record(name, z.tuple([healthKind, name])),
  holds: z.record(name, z.array(holdReason)),
});

const switchLine = z.object({
  k: z.literal('switch'),
  m: mono,
  s: name,
  from: name.nullable(),
  to: name.nullable(),
  why: name,
});

const healthLine = z.object({
  k: z.literal('health'),
  m: mono,
  p: name,
  from: healthKind,
  to: healthKind,
  why: name,
});

const holdLine = z.object({ k: z.literal('hold'), m: mono, p: name, why: holdReason, on: z.boolean() });

/** Tries at one provider that ended between `m` and `m + d`, probes included. */
const triesLine = z.object({
  k: z.literal('tries'),
  m: mono,
  d: z.number(),
  p: name,
  /** Number of accepted tries, and p50, p95 and p99 of their latencies. */
  a: z.number(),
  l: z.tuple([z.number(), z.number(), z.number()]).optional(),
  /**
   * The failed tries: number by outcome (tries.ts); median duration; the times after `m` of the first and the
   * last.
   */
  f: z.record(z.string(), z.number()).optional(),
  fl: z.number().optional(),
  ff: z.tuple([z.number(), z.number()]).optional(),
  /** The longest pause that a throttling provider asked for. */
  ra: z.number().optional(),
});

/**
 * The inputs of each provider's score: written after each switch, and with each write in whose interval a
 * provider was tried.
 */
const scoreInputsLine = z.object({
  k: z.literal('seen'),
  m: mono,
  p: z.record(
    name,
    z.tuple([
      /** Of the sliding window: accepted, tries, latency samples, p50, p95, goodput. */
      z.number(),
      z.number(),
      z.number(),
      z.number().nullable(),
      z.number().nullable(),
      z.number(),
      /** The provider's typical latency, and the units billed this month. */
      z.number(),
      z.number(),
    ]),
  ),
});

/** The load of a stream between `m` and `m + d`. */
const loadLine = z.object({
  k: z.literal('load'),
  m: mono,
  d: z.number(),
  s: name,
  /** Records that arrived, and their bytes. */
  r: z.number(),
  b: z.number(),
  /** Accepted envelopes, their records and bytes; two copies count twice. */
  e: z.number(),
  er: z.number(),
  eb: z.number(),
});

const lineSchema = z.discriminatedUnion('k', [
  clockLine,
  tookLine,
  gaveUpLine,
  setupLine,
  stateLine,
  switchLine,
  healthLine,
  holdLine,
  triesLine,
  scoreInputsLine,
  loadLine,
]);

export type Line = z.output<typeof lineSchema>;
export type LineOf<Kind extends Line['k']> = Extract<Line, { k: Kind }>;

/** Null for a line that is cut short, damaged, or of an unknown kind. */
export function parseLine(text: string): Line | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // The line is cut short.
  }
  const parsed = lineSchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}
