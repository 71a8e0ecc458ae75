/** An outage drill as a file of test/drills/cases holds it. */
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { FAULT_NAMES } from '../../loopback/faults.ts';
import { duration } from '../../shared/config/kinds.ts';

const cloud = z.enum(['aws', 'azure', 'gcp']);
const perCloud = <Value extends z.ZodType>(value: Value) => z.partialRecord(cloud, value).default({});

/** A fault that begins, or null for the end of the cloud's fault. */
const change = z
  .strictObject({
    fault: z.enum(FAULT_NAMES),
    /** In milliseconds where it is no duration. */
    latencyMs: z.number().optional(),
    jitterMs: z.number().optional(),
    perSecond: z.number().optional(),
    bothSides: z.boolean().optional(),
  })
  .nullable();

const schema = z.strictObject({
  name: z.string(),
  clouds: z.array(cloud).min(1),
  /** The clouds that the stream prefers, in order; default: the order of `clouds`. */
  prefers: z.array(cloud).optional(),
  /** Of temporary credentials; absent: the configurations have long-lived keys. */
  credentials_live: duration().optional(),
  /** The cloud's name does not resolve (NXDOMAIN), at the gateway and at the router, from the start. */
  without_name: z.array(cloud).default([]),
  rate: z.int().min(1).default(40),
  /** Counted from the first record in the ledger. The last entry is the end of the outage. */
  timeline: z.array(z.strictObject({ at: duration(), clouds: z.partialRecord(cloud, change) })).min(1),
  expect: z.strictObject({
    /** Each cause is in `status` and in `explain` of the gateway at some time. */
    causes: perCloud(z.array(z.string())),
    /** Regular expressions of errors that the router's sources show at some time. */
    errors: perCloud(z.array(z.string())),
    /** Clouds that go on: they do not open, no stream leaves them, the router's source has no error. */
    unnoticed: z.array(cloud).default([]),
    /** How often a provider may open. */
    opens_max: perCloud(z.int()),
    /** The most requests of any two seconds, by the cloud's own count, after the time. */
    requests_max: perCloud(z.strictObject({ from: duration(), each_2s: z.int() })),
    /** Records that the ledger got twice and kept once. */
    reconciled_min: z.int().default(0),
    /** No row leaves the buffer during the outage. */
    keeps_rows: z.boolean().default(false),
    /** While the outage lasts, records come into the ledger. */
    flows: z.boolean().default(true),
  }),
});

export type DrillCase = z.output<typeof schema>;
export type CloudChange = z.output<typeof change>;
export type DrillCloud = z.output<typeof cloud>;

export function readCases(folder: URL): DrillCase[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .toSorted()
    .flatMap((name) => z.array(schema).parse(parse(readFileSync(new URL(name, folder), 'utf8'))));
}
