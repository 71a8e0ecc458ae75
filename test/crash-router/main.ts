/**
 * `npm run crash:router -- --engine postgres|jetstream --records N [--replicas 3] [--seed S] [--json]`:
 * replicas of the router on one ledger, killed at random. Exits 1 when the ledger is not exactly what was fed
 * (docs/explanation/durability.md).
 */
import { systemEntropy } from '../../shared/entropy.ts';
import { readScript, whole } from '../script.ts';
import { ENGINES, type EngineName } from './engines.ts';
import { crashRun, isClean } from './run.ts';

const UINT32_MAX = 2 ** 32 - 1;

const { json, ...options } = readArguments();
console.log(`--seed ${options.seed} feeds and kills in this order again`);
const report = await crashRun({ ...options, say: (line) => console.log(line) });
for (const [name, value] of Object.entries(report)) if (!json) console.log(`${name}: ${value}`);
if (json) console.log(JSON.stringify(report));
process.exitCode = isClean(report) ? 0 : 1;

function readArguments(): {
  engine: EngineName;
  records: number;
  replicas: number;
  seed: number;
  json: boolean;
} {
  return readScript(
    {
      command: 'npm run crash:router',
      does: 'Replicas of the router on one ledger, killed at random while they are fed. Fails when the ledger is not exactly what was fed.',
      options: {
        engine: { takes: ENGINES.join('|'), is: 'of the ledger; must be given' },
        records: { takes: 'N', default: '200000', is: 'how many are fed' },
        replicas: { takes: 'N', default: '3', is: 'how many routers' },
        seed: { takes: 'S', is: 'of the order of feeding and killing (default: random; it is printed)' },
        json: { is: 'a last line for machines, in place of the others' },
      },
      example: '--engine postgres --records 50000',
    },
    ({ engine, records, replicas, seed = String(Math.floor(systemEntropy.float() * UINT32_MAX)), json }) => {
      const known = ENGINES.find((name) => name === engine);
      if (!known) throw new Error(`--engine must be one of ${ENGINES.join(', ')}`);
      return {
        engine: known,
        records: whole('--records', records, 1),
        replicas: whole('--replicas', replicas, 1),
        seed: whole('--seed', seed, 0),
        json,
      };
    },
  );
}
