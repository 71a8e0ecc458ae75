/**
 * `npm run crash -- --cycles N [--seed S] [--json]`: a real agent under a fleet of devices, killed with
 * SIGKILL at N random instants. Exits 1 when an acknowledged publish is lost or an id is given twice
 * (docs/explanation/durability.md).
 */
import { seededEntropy, systemEntropy } from '../../shared/entropy.ts';
import { readScript, whole } from '../script.ts';
import { runCycles } from './cycles.ts';
import { Tally } from './report.ts';

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
  return readScript(
    {
      command: 'npm run crash',
      does: 'A real agent under a fleet of devices, killed with SIGKILL at random instants. Fails when an acknowledged publish is lost or an id is given twice.',
      options: {
        cycles: { takes: 'N', is: 'how often it is killed; must be given' },
        seed: { takes: 'S', is: 'of the instants (default: random; it is printed)' },
        json: { is: 'a last line for machines' },
      },
      example: '--cycles 20 --seed 7',
    },
    ({ cycles, seed = String(Math.floor(systemEntropy.float() * UINT32_MAX)), json }) => ({
      cycles: whole('--cycles', cycles, 1),
      seed: whole('--seed', seed, 0),
      json,
    }),
  );
}
