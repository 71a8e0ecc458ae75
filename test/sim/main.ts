/**
 * `npm run sim -- --seeds N --days D [--seed S] [--json]`: worlds of seeds S, S+1, … on two threads. A failing one is shrunk
 * and printed with the command that replays it, for which there are `--gateways N` and `--faults 3,7`; `--first` stops at the first failing one. Exits 1 when an
 * invariant was violated. The last line is JSON.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { errorText } from '../../shared/log.ts';
import { runPool } from './pool.ts';
import { replayCommand, shrink } from './shrink.ts';
import { planFor, type WorldOptions, type WorldResult } from './world.ts';

const EXIT_USAGE = 2;
const SEED_MAX = 2 ** 31;
const PROGRESS_EVERY = 50;
/** A broken rule fails many worlds; the first few say enough. */
const SHRUNK_MAX = 3;

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
for (const result of failed) await explain(result);
say(`${sum.records} records in ${Math.round(sum.gatewaySeconds / 86_400)} gateway days`);
console.log(
  JSON.stringify({
    seeds: sum.done,
    days: worlds[0]?.days ?? 0,
    violations: failed.length,
    events: sum.events,
    speedup: Math.round(sum.gatewaySeconds / wallSeconds),
  }),
);
process.exitCode = failed.length > 0 ? 1 : 0;

async function explain(result: WorldResult): Promise<void> {
  const options = worlds.find(({ seed }) => seed === result.seed);
  if (!options) return;
  say(`FAILED: seed ${result.seed}`);
  for (const { invariant, atMs, what } of result.violations) say(`  ${invariant} at ${atMs} ms: ${what}`);
  if (isFirstOnly) return;
  const small = await shrink({ options, result });
  say(`  shrunk to: ${replayCommand(small.options)}`);
  for (const { invariant, atMs, what } of small.result.violations)
    say(`  ${invariant} at ${atMs} ms: ${what}`);
  for (const fault of planFor(small.options).faults) say(`  fault ${JSON.stringify(fault)}`);
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
