/**
 * `npm run fuzz:ingest -- [--engine postgres|jetstream] [--envelopes N] [--seed S] [--json]`: hostile envelopes through every source of a real router
 * (docs/durability.md). Exits 1 when anything was wrong.
 */
import { parseArgs } from 'node:util';
import { systemEntropy } from '../../../shared/entropy.ts';
import { ENGINES } from '../../crash-router/engines.ts';
import { fuzzIngest } from './fuzz.ts';

const EXIT_USAGE = 2;
const EMBEDDED = 'sqlite';
const UINT32_MAX = 2 ** 32 - 1;

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: EMBEDDED },
    envelopes: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Math.floor(systemEntropy.float() * UINT32_MAX)) },
    json: { type: 'boolean', default: false },
  },
});
const envelopes = Number(values.envelopes);
const seed = Number(values.seed);
const engine = ENGINES.find((name) => name === values.engine);
const isKnown = engine !== undefined || values.engine === EMBEDDED;
if (
  !isKnown ||
  ![envelopes, seed].every((value) => Number.isInteger(value) && value >= 0 && value <= UINT32_MAX)
) {
  console.error(`npm run fuzz:ingest -- [--engine ${ENGINES.join('|')}] [--envelopes N] [--seed S] [--json]`);
  process.exit(EXIT_USAGE);
}
console.log(`seed ${seed}`);
const { problems, ...result } = await fuzzIngest({ envelopes, seed, engine }, (line) => console.log(line));
for (const problem of problems) console.log(`FAILED: ${problem}`);
console.table(result.sent);
console.table(result.reasons);
console.table({ 'dead letters': result.letters, 'valid, ms at most': result.validMsMax });
console.log(`${result.records} records`);
if (values.json)
  console.log(
    JSON.stringify({ engine: values.engine, seed, envelopes, ...result, problems: problems.length }),
  );
process.exit(problems.length === 0 ? 0 : 1);
