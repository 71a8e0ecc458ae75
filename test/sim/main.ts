/**
 * `npm run sim -- --seeds N --days D [--seed S] [--json]`: worlds of seeds S, S+1, … on two threads. A
 * failing one is shrunk and printed with the command that replays it, for which there are `--gateways N` and
 * `--faults 3,7`; `--first` stops at the first failing one. Exits 1 when an invariant was violated. The last
 * line is JSON, and with `--json` the only one: it names the first seed, and each failing one that was looked
 * at with the command that replays it.
 */
import { availableParallelism } from 'node:os';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { readScript } from '../script.ts';
import { runPool } from './pool.ts';
import { replayCommand, shrink } from './shrink.ts';
import type { Violation } from './truth.ts';
import { planFor, type WorldOptions, type WorldResult } from './world.ts';

const SEED_MAX = 2 ** 31;
const PROGRESS_EVERY = 50;
/** A broken rule fails many worlds; the first few say enough. */
const SHRUNK_MAX = 3;

interface Failure {
  seed: number;
  replay: string;
  violations: Violation[];
}

const { worlds, threads, json, isFirstOnly } = readArguments();
const startedMs = systemClock.monoMs();
const failed: WorldResult[] = [];
const sum = { events: 0, records: 0, gatewaySeconds: 0, done: 0 };
const say = (line: string): void => {
  if (!json) console.log(line);
};
await runPool({
  worlds,
  threads,
  onResult: (result) => {
    sum.events += result.events;
    sum.records += result.records;
    sum.gatewaySeconds += result.gatewaySeconds;
    sum.done += 1;
    if (sum.done % PROGRESS_EVERY === 0) say(`${sum.done} of ${worlds.length} worlds`);
    if (result.violations.length > 0) failed.push(result);
    return failed.length < (isFirstOnly ? 1 : SHRUNK_MAX);
  },
});
const wallSeconds = (systemClock.monoMs() - startedMs) / 1000;
const failures: Failure[] = [];
for (const result of failed) failures.push(await explain(result));
say(`${sum.records} records in ${Math.round(sum.gatewaySeconds / 86_400)} gateway days`);
console.log(
  JSON.stringify({
    seeds: sum.done,
    firstSeed: worlds[0]?.seed,
    days: worlds[0]?.days ?? 0,
    violations: failed.length,
    events: sum.events,
    speedup: Math.round(sum.gatewaySeconds / wallSeconds),
    failures,
  }),
);
process.exitCode = failed.length > 0 ? 1 : 0;

/** Shrunk, unless `--first` asked not to. */
async function explain(result: WorldResult): Promise<Failure> {
  const { seed } = result;
  const options = worlds.find((world) => world.seed === seed) ?? { seed, days: 0 };
  say(`FAILED: seed ${seed}`);
  for (const { invariant, atMs, what } of result.violations) say(`  ${invariant} at ${atMs} ms: ${what}`);
  const small = isFirstOnly ? { options, result } : await shrink({ options, result });
  const replay = replayCommand(small.options);
  say(`  ${isFirstOnly ? 'replay with' : 'shrunk to'}: ${replay}`);
  if (!isFirstOnly) {
    for (const { invariant, atMs, what } of small.result.violations)
      say(`  ${invariant} at ${atMs} ms: ${what}`);
    for (const fault of planFor(small.options).faults) say(`  fault ${JSON.stringify(fault)}`);
  }
  return { seed, replay, violations: small.result.violations };
}

function readArguments(): { worlds: WorldOptions[]; threads: number; json: boolean; isFirstOnly: boolean } {
  return readScript(
    {
      command: 'npm run sim',
      does: 'Seeded worlds on a virtual clock. A failing one is shrunk and printed with the command that replays it.',
      options: {
        seeds: { takes: 'N', default: '1', is: 'how many worlds, of seeds S, S+1, …' },
        days: { takes: 'D', default: '2', is: 'how long each of them lasts' },
        seed: { takes: 'S', is: 'of the first (default: random; it is printed)' },
        gateways: { takes: 'N', is: 'in each world at most (default: by its seed)' },
        faults: { takes: '3,7|none', is: 'only these of the faults that its seed plans' },
        threads: { takes: 'N', is: 'how many worlds at a time (default: 2, of one core 1)' },
        json: { is: 'one line for machines, and no other' },
        first: { is: 'stops at the first world that fails, and does not shrink it' },
      },
      example: '--seeds 100 --days 1 --seed 7',
    },
    ({
      seeds,
      days: length,
      seed,
      gateways: gatewayCount,
      faults: places,
      threads,
      json,
      first: isFirstOnly,
    }) => {
      const first = numberIn('--seed', seed ?? String(Math.floor(systemEntropy.float() * 1e9)), 0);
      const days = numberIn('--days', length, Number.MIN_VALUE);
      const gateways = gatewayCount === undefined ? undefined : numberIn('--gateways', gatewayCount, 1);
      const faults = places
        ?.split(',')
        .filter((text) => text !== 'none')
        .map((text) => numberIn('--faults', text, 0));
      const count = numberIn('--seeds', seeds, 1);
      const worlds = Array.from({ length: count }, (_, i) => ({ seed: first + i, days, gateways, faults }));
      const atOnce = numberIn('--threads', threads ?? String(Math.min(2, availableParallelism())), 1);
      return { worlds, threads: atOnce, json, isFirstOnly };
    },
  );
}

function numberIn(name: string, text: string, min: number): number {
  const value = Number(text);
  if (value >= min && value <= SEED_MAX) return value;
  throw new Error(`${name} must be a number from ${min} to ${SEED_MAX}`);
}
