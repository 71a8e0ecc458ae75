/**
 * `npm run crash:router -- --engine postgres|jetstream --records N [--replicas 3] [--seed S] [--json]`: replicas of the
 * router on one ledger, killed at random. Exits 1 when the ledger is not exactly what was fed (docs/durability.md).
 */
import { parseArgs } from 'node:util';
import { systemEntropy } from '../../shared/entropy.ts';
import { errorText } from '../../shared/log.ts';
import { ENGINES, type EngineName } from './engines.ts';
import { crashRun, isClean } from './run.ts';

const EXIT_USAGE = 2;
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
  try {
    const { values } = parseArgs({
      options: {
        engine: { type: 'string' },
        records: { type: 'string', default: '200000' },
        replicas: { type: 'string', default: '3' },
        seed: { type: 'string', default: String(Math.floor(systemEntropy.float() * UINT32_MAX)) },
        json: { type: 'boolean', default: false },
      },
    });
    const engine = ENGINES.find((name) => name === values.engine);
    if (!engine) throw new Error(`--engine must be one of ${ENGINES.join(', ')}`);
    return {
      engine,
      records: whole('--records', values.records, 1),
      replicas: whole('--replicas', values.replicas, 1),
      seed: whole('--seed', values.seed, 0),
      json: values.json,
    };
  } catch (error) {
    console.error(`npm run crash:router -- --engine E --records N [--replicas R]: ${errorText(error)}`);
    process.exit(EXIT_USAGE);
  }
}

function whole(name: string, text: string, min: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= UINT32_MAX) return value;
  throw new Error(`${name} must be a whole number from ${min} to ${UINT32_MAX}`);
}
