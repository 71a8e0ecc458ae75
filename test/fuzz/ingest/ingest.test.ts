/** Hostile envelopes in short; ingest.slow.ts and `npm run fuzz:ingest` send more. */
import t from 'tap';
import { survivesEnvelopes } from './envelopes-survived.ts';

const ENVELOPES = 150;

t.test(`${ENVELOPES} envelopes`, async (t) => {
  await survivesEnvelopes(t, ENVELOPES);
});
