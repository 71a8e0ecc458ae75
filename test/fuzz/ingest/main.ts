/**
 * `npm run fuzz:ingest -- [--engine postgres|jetstream] [--envelopes N] [--seed S] [--json]`: hostile
 * envelopes through every source of a real router (docs/explanation/durability.md). Exits 1 when anything was
 * wrong.
 */
import { systemEntropy } from '../../../shared/entropy.ts';
import { ENGINES } from '../../crash-router/engines.ts';
import { readScript, whole } from '../../script.ts';
import { fuzzIngest } from './fuzz.ts';

const EMBEDDED = 'sqlite';
const UINT32_MAX = 2 ** 32 - 1;

const { envelopes, seed, engine, json } = readArguments();
console.log(`seed ${seed}`);
const { problems, ...result } = await fuzzIngest({ envelopes, seed, engine }, (line) => console.log(line));
for (const problem of problems) console.log(`FAILED: ${problem}`);
console.table(result.sent);
console.table(result.reasons);
console.table({ 'dead letters': result.letters, 'valid, ms at most': result.validMsMax });
console.log(`${result.records} records; ${result.retried} letters taken with their key back`);
if (json)
  console.log(
    JSON.stringify({ engine: engine ?? EMBEDDED, seed, envelopes, ...result, problems: problems.length }),
  );
process.exit(problems.length === 0 ? 0 : 1);

function readArguments() {
  return readScript(
    {
      command: 'npm run fuzz:ingest',
      does: 'Hostile envelopes through every source of a real router. Fails when anything was wrong.',
      options: {
        engine: { takes: [EMBEDDED, ...ENGINES].join('|'), default: EMBEDDED, is: 'of the ledger' },
        envelopes: { takes: 'N', default: '10000', is: 'how many are sent' },
        seed: { takes: 'S', is: 'of all that is sent (default: random; it is printed)' },
        json: { is: 'a last line for machines' },
      },
      example: '--engine postgres --envelopes 2000',
    },
    ({ engine: name, envelopes, json, seed = String(Math.floor(systemEntropy.float() * UINT32_MAX)) }) => {
      const engine = ENGINES.find((known) => known === name);
      if (!engine && name !== EMBEDDED) {
        throw new Error(`--engine must be one of ${[EMBEDDED, ...ENGINES].join(', ')}`);
      }
      return {
        envelopes: whole('--envelopes', envelopes, 0),
        seed: whole('--seed', seed, 0),
        engine,
        json,
      };
    },
  );
}
