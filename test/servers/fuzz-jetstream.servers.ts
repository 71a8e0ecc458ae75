/** Hostile envelopes into a ledger on a real JetStream server, in short. */
import t from 'tap';
import { survivesEnvelopes } from '../fuzz/ingest/envelopes-survived.ts';

const ENVELOPES = 600;

t.test(`${ENVELOPES} envelopes`, (t) => survivesEnvelopes(t, ENVELOPES, 'jetstream'));
