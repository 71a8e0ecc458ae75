/** Hostile envelopes through every source of a real router (I5, I9). `npm run fuzz:ingest` sends more. */
import t from 'tap';
import { systemEntropy } from '../../../shared/entropy.ts';
import { fuzzIngest } from './fuzz.ts';

const ENVELOPES = 250;
const seed = Math.floor(systemEntropy.float() * 2 ** 32);

t.test(`${ENVELOPES} envelopes, seed ${seed}`, async (t) => {
  const { problems, sent, reasons } = await fuzzIngest({ envelopes: ENVELOPES, seed }, () => undefined);
  t.same(problems, [], `npm run fuzz:ingest -- --envelopes ${ENVELOPES} --seed ${seed}`);
  t.same(new Set(Object.keys(sent)), new Set(['aws', 'azure', 'gcp', 'mqtt', 'https']));
  for (const [source, kinds] of Object.entries(sent))
    t.match(kinds, { largest: 1, 'too large': 1 }, `up to its bound and past it (I10): ${source}`);
  t.match(reasons, {
    checksum: Number,
    schema: Number,
    limit: Number,
    'foreign-gateway': Number,
    nul: Number,
    unsigned: Number,
    'unknown-key': Number,
    signature: Number,
  });
});
