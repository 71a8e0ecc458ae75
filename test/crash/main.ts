/**
 * `npm run crash -- --cycles N [--seed S] [--json]`: a real agent under a fleet of devices, killed with SIGKILL at N random
 * instants. Exits 1 when an acknowledged publish is lost or an id is given twice (docs/durability.md).
 */
import { parseArgs } from 'node:util';
import { seededEntropy, systemEntropy } from '../../shared/entropy.ts';
import { errorText } from '../../shared/log.ts';
import { runCycles } from './cycles.ts';
import { Tally } from './report.ts';

const EXIT_USAGE = 2;
const UINT32_MAX = 2 ** 32 - 1;

const { cycles, seed, json } = readArguments();
console.log(`--seed ${seed} kills at these instants again`);
const tally = new Tally(seed);
const kept = await runCycles(cycles, seededEntropy(seed), tally, (line) => console.log(line));
const report = tally.report();
if (kept !== null) console.log(`FAILED; the agent's folder is kept: ${kept}`);
console.log(
  `start-up until ready: ${report.startup_p50_ms} ms in the middle, ${report.startup_max_ms} ms at most`,
);
if (json) console.log(JSON.stringify(report));
process.exitCode = kept === null ? 0 : 1;

function readArguments(): { cycles: number; seed: number; json: boolean } {
  try {
    const { values } = parseArgs({
      options: { cycles: { type: 'string' }, seed: { type: 'string' }, json: { type: 'boolean' } },
    });
    const seed = values.seed ?? String(Math.floor(systemEntropy.float() * UINT32_MAX));
    return {
      cycles: whole('--cycles', values.cycles, 1),
      seed: whole('--seed', seed, 0),
      json: values.json ?? false,
    };
  } catch (error) {
    console.error(`npm run crash -- --cycles N [--seed S] [--json]: ${errorText(error)}`);
    process.exit(EXIT_USAGE);
  }
}

function whole(name: string, text: string | undefined, min: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= UINT32_MAX) return value;
  throw new Error(`${name} must be a whole number from ${min} to ${UINT32_MAX}`);
}
