/**
 * Timing on a noisy machine: all candidates of a comparison take turns within one run, so that a slow phase
 * affects all of them, and the median of the turns counts. Ratios are comparable between machines; times are
 * not.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** One candidate: `run` does `operations` operations, from scratch each time. */
export interface Candidate {
  operations: number;
  run(): unknown;
}

export interface Measured {
  rows: ReadonlyArray<Readonly<Record<string, string | number>>>;
  figures: Readonly<Record<string, number>>;
}

/** The command-line options, by name. */
export type Options = Readonly<Record<string, string | boolean | undefined>>;

/** An option in the output of `--help`. */
export interface BenchOption {
  takes: string;
  default?: string;
  is: string;
}

/** The export `bench` of a file in this folder, for bench/run.ts. */
export interface Bench {
  name: string;
  /** One line for the list. */
  summary: string;
  /** The bench's own options, each with a value: `--runs 5`. */
  options?: Readonly<Record<string, BenchOption>>;
  run(options: Options): Promise<Measured>;
}

const WARM_UP_TURNS = 3;
const TURNS = 15;
/** A turn repeats a candidate for at least this long, to hide the clock's resolution. */
const TURN_MS = 8;

/** Median nanoseconds per operation of each candidate. */
export function compare<Name extends string>(
  candidates: Readonly<Record<Name, Candidate>>,
): Record<Name, number> {
  const names = Object.keys(candidates) as Name[];
  const samples = new Map<Name, number[]>(names.map((name) => [name, []]));
  for (let turn = 0; turn < WARM_UP_TURNS + TURNS; turn++) {
    for (const name of names) {
      const nanoseconds = timed(candidates[name]);
      if (turn >= WARM_UP_TURNS) samples.get(name)?.push(nanoseconds);
    }
    // The next turn starts with another candidate.
    names.push(...names.splice(0, 1));
  }
  return Object.fromEntries(names.map((name) => [name, median(samples.get(name) ?? [])])) as Record<
    Name,
    number
  >;
}

/** Bytes of heap and array buffers that the result of `build` keeps alive. */
export function heldBytes(build: () => unknown): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('no garbage collector to call');
  collect();
  const before = process.memoryUsage();
  const kept = build();
  collect();
  const after = process.memoryUsage();
  if (kept === undefined) throw new Error('nothing was built');
  return after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
}

/** Rounded to three significant digits. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function timed({ operations, run }: Candidate): number {
  const startedNs = process.hrtime.bigint();
  let runs = 0;
  let elapsedNs = 0;
  do {
    run();
    runs += 1;
    elapsedNs = Number(process.hrtime.bigint() - startedNs);
  } while (elapsedNs < TURN_MS * 1e6);
  return elapsedNs / runs / operations;
}

/** The middle value; for an even number of values, the higher middle one. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The lowest value that at least `share` of the values do not exceed (nearest rank); NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
