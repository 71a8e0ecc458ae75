/** Hostile packets against a real agent: it lives, and others do not notice. `npm run fuzz` sends more. */
import t from 'tap';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { fuzz } from './fuzz.ts';

const PACKETS = 5000;
const seed = Math.floor(systemEntropy.float() * 2 ** 32);

t.test(`${PACKETS} packets, seed ${seed}`, async (t) => {
  const { problems, packets, crashes, goodAcked, goodLost } = await fuzz(
    { packets: PACKETS, seed, first: 0 },
    systemClock,
    () => undefined,
  );
  t.same(problems, [], `npm run fuzz -- --packets ${PACKETS} --seed ${seed}`);
  t.same({ crashes, goodLost }, { crashes: 0, goodLost: 0 });
  t.ok(packets >= PACKETS, `${packets} sent`);
  t.ok(goodAcked > 50, `${goodAcked} publishes of others acknowledged meanwhile`);
});
