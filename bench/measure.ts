/**
 * Timing that survives a noisy machine: all candidates of a comparison take turns within one run, so that
 * what slows the machine slows each of them, and the median of the turns is what counts. Ratios travel to
 * another machine; times do not.
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

/** What was given on the command line, by name. */
export type Options = Readonly<Record<string, string | boolean | undefined>>;

/** As `--help` tells of it. */
export interface BenchOption {
  takes: string;
  default?: string;
  is: string;
}

/** What bench/run.ts finds in a file of this folder, as its export `bench`. */
export interface Bench {
  name: string;
  /** One line for the list. */
  summary: string;
  /** Options of its own, each with a value: `--runs 5`. */
  options?: Readonly<Record<string, BenchOption>>;
  run(options: Options): Promise<Measured>;
}

const WARM_UP_TURNS = 3;
const TURNS = 15;
/** A turn repeats a candidate until it took this long, so that the clock's grain does not show. */
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
    // Another one goes first in the next turn.
    names.push(...names.splice(0, 1));
  }
  return Object.fromEntries(names.map((name) => [name, median(samples.get(name) ?? [])])) as Record<
    Name,
    number
  >;
}

/** Bytes of heap and array buffers that what `build` returns keeps alive. */
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

/** The middle one; of an even number, the higher of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The lowest value that at least `share` of the values do not exceed (nearest rank); NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
