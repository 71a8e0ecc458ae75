import t from 'tap';
import { survivesPackets } from './packets-survived.ts';

t.test('a real agent lives, and others do not notice', async (t) => {
  await survivesPackets(t, { tcp: 4000, tls: 1200, ws: 1200 });
});
