/**
 * `npm run sim -- --seeds N --days D [--seed S] [--json]`: worlds of seeds S, S+1, … on two threads. A failing one is shrunk
 * and printed with the command that replays it, for which there are `--gateways N` and `--faults 3,7`; `--first` stops at the first failing one. Exits 1 when an
 * invariant was violated. The last line is JSON, and with `--json` the only one: it names the first seed, and each failing one that was
 * looked at with the command that replays it.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { errorText } from '../../shared/log.ts';
import { runPool } from './pool.ts';
import { replayCommand, shrink } from './shrink.ts';
import type { Violation } from './truth.ts';
import { planFor, type WorldOptions, type WorldResult } from './world.ts';

const EXIT_USAGE = 2;
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
  try {
    const { values } = parseArgs({
      options: {
        seeds: { type: 'string', default: '1' },
        days: { type: 'string', default: '2' },
        seed: { type: 'string' },
        gateways: { type: 'string' },
        faults: { type: 'string' },
        threads: { type: 'string' },
        json: { type: 'boolean', default: false },
        first: { type: 'boolean', default: false },
      },
    });
    const first = numberIn('--seed', values.seed ?? String(Math.floor(systemEntropy.float() * 1e9)), 0);
    const days = numberIn('--days', values.days, Number.MIN_VALUE);
    const gateways = values.gateways === undefined ? undefined : numberIn('--gateways', values.gateways, 1);
    const faults = values.faults
      ?.split(',')
      .filter((text) => text !== 'none')
      .map((text) => numberIn('--faults', text, 0));
    const count = numberIn('--seeds', values.seeds, 1);
    const worlds = Array.from({ length: count }, (_, i) => ({ seed: first + i, days, gateways, faults }));
    const threads = numberIn('--threads', values.threads ?? String(Math.min(2, availableParallelism())), 1);
    return { worlds, threads, json: values.json, isFirstOnly: values.first };
  } catch (error) {
    console.error(`npm run sim -- --seeds N --days D [--seed S] [--json]: ${errorText(error)}`);
    process.exit(EXIT_USAGE);
  }
}

function numberIn(name: string, text: string, min: number): number {
  const value = Number(text);
  if (value >= min && value <= SEED_MAX) return value;
  throw new Error(`${name} must be a number from ${min} to ${SEED_MAX}`);
}
