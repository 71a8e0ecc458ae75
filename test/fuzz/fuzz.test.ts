/** Hostile packets in short; fuzz.slow.ts and `npm run fuzz` send more. */
import t from 'tap';
import { survivesPackets } from './packets-survived.ts';

t.test('a real agent lives, and others do not notice', async (t) => {
  await survivesPackets(t, { tcp: 400, tls: 100, ws: 100 });
});
