/** Hostile packets against a real agent: it lives, and others do not notice. `npm run fuzz` sends more. */
import t from 'tap';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { fuzz } from './fuzz.ts';
import { TRANSPORTS } from './transport.ts';

const PACKETS = { tcp: 2000, tls: 600, ws: 600 };
const seed = Math.floor(systemEntropy.float() * 2 ** 32);

for (const transport of TRANSPORTS) {
  const wanted = PACKETS[transport];
  t.test(`${transport}: ${wanted} packets, seed ${seed}`, async (t) => {
    const { problems, packets, crashes, goodAcked, goodLost } = await fuzz(
      { packets: wanted, seed, first: 0, transport },
      systemClock,
      () => undefined,
    );
    const again = `npm run fuzz -- --transport ${transport} --packets ${wanted} --seed ${seed}`;
    t.same(problems, [], again);
    t.same({ crashes, goodLost }, { crashes: 0, goodLost: 0 });
    t.ok(packets >= wanted, `${packets} sent`);
    t.ok(goodAcked > 50, `${goodAcked} publishes of others acknowledged meanwhile`);
  });
}
