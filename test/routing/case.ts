/** A failover case as a file holds it. docs/how-to/routing-cases.md tells a user how to write one. */
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { OWN_HOLDS } from '../../agent/routing/core/reasons.ts';
import { duration } from '../../shared/config/kinds.ts';
import { type Policy, type ProviderFacts, policySchema } from '../../shared/policy/policy.ts';
import { facts } from '../agent/routing/core/world.ts';

const outsideHold = z.enum(['manual', 'quota', 'budget']);
const holdReason = z.enum([...outsideHold.options, ...OWN_HOLDS]);
const provider = z.strictObject({
  type: z.enum(['aws', 'azure', 'gcp', 'mqtt']).default('mqtt'),
  region: z.string().default('eu-west-1'),
  enabled: z.boolean().default(true),
  priority: z.int().default(1),
  sla: z.number().default(99.9),
  certifications: z.array(z.string()).default([]),
});
const count = z.record(z.string(), z.int().min(0));
/** One name, or one per stream. */
const perStream = <T extends z.ZodType>(value: T) => z.union([value, z.record(z.string(), value)]);

const happening = z
  .object({
    at: duration(),
    hold: z.record(z.string(), outsideHold).default({}),
    release: z.record(z.string(), outsideHold).default({}),
    /** How far the receipts of a provider are behind from now on. */
    lag: z.record(z.string(), z.union([z.literal('none').transform(() => null), duration()])).default({}),
    /** Share of a provider's quota of the day that the gateway's own count has used. */
    quota: z.record(z.string(), z.number().min(0)).default({}),
    policy: z.record(z.string(), z.unknown()).optional(),
    /** Whether the month's money runs short. */
    thrift: z.boolean().optional(),
    /** The whole gateway stands still: no tick, no publish, no outcome is read. */
    stall: duration().optional(),
  })
  .catchall(z.string());

const instant = z.strictObject({
  at: duration(),
  chosen: perStream(z.string().nullable()).optional(),
  candidates: perStream(z.array(z.string())).optional(),
  health: z.record(z.string(), z.enum(['healthy', 'degraded', 'open', 'probing'])).optional(),
  refusals: z.record(z.string(), z.array(z.string())).optional(),
  holds: z.record(z.string(), z.array(holdReason)).optional(),
  /** Records that wait in the buffer, all streams together. */
  waiting: z.int().min(0).optional(),
  waiting_min: z.int().min(0).optional(),
});
const span = z.strictObject({
  from: duration(),
  until: duration(),
  switches_max: z.int().min(0).optional(),
  /** Publishes started, without probes. */
  sent_max: count.optional(),
  sent_min: count.optional(),
  probes_max: count.optional(),
  probes_min: count.optional(),
  /** By the provider that was too slow. */
  hedges_max: count.optional(),
  hedges_min: count.optional(),
});

const caseSchema = z.strictObject({
  name: z.string(),
  /** Clauses of agent/routing/SPEC.md that it proves. */
  clauses: z.array(z.int()).min(1),
  seed: z.int().default(1),
  every: duration().default(50),
  lasts: duration(),
  policy: z.record(z.string(), z.unknown()).default({}),
  providers: z.record(
    z.string(),
    z.preprocess((value) => value ?? {}, provider),
  ),
  timeline: z.array(happening).default([]),
  expect: z.array(z.union([instant, span])).default([]),
  /**
   * All of them, in order: `10s..12s aws > azure breaker`; with several streams `… readings: aws > azure
   * breaker`.
   */
  switches: z.array(z.string()).optional(),
});

export type Case = z.output<typeof caseSchema>;
export type Instant = z.output<typeof instant>;
export type Span = z.output<typeof span>;
export type Happening = z.output<typeof happening>;

const FOLDER = new URL('cases/', import.meta.url);

/** Every case of test/routing/cases, by file. Throws what zod has to say when one is not readable. */
export function allCases(): Array<{ file: string; cases: Case[] }> {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => ({ file, cases: casesOf(readFileSync(new URL(file, FOLDER), 'utf8')) }));
}

export function casesOf(yaml: string): Case[] {
  return z.array(caseSchema).parse(parse(yaml));
}

/**
 * Without streams of its own a policy has `telemetry`, which prefers the providers in the order they are
 * written in.
 */
export function policyOf(document: Record<string, unknown>, providers: readonly string[]): Policy {
  const given = z.record(z.string(), z.record(z.string(), z.unknown())).optional().parse(document['streams']);
  const streams = Object.entries(given ?? { telemetry: { preferred_providers: providers } });
  const named = streams.map(([name, stream]) => [name, { topics: ['#'], ...stream }]);
  return policySchema.parse({ ...document, streams: Object.fromEntries(named) });
}

export function factsOf(providers: Case['providers']): ProviderFacts[] {
  return Object.entries(providers).map(([name, { sla, ...rest }]) =>
    facts(name, { ...rest, slaPercent: sla }),
  );
}
