import t from 'tap';
import { survivesEnvelopes } from './envelopes-survived.ts';

const ENVELOPES = 600;

t.test(`${ENVELOPES} envelopes`, async (t) => {
  await survivesEnvelopes(t, ENVELOPES);
});
