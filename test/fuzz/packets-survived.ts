/** Hostile packets of a seed over each transport: the agent lives, and others do not notice. */
import type { Test } from 'tap';
import { systemClock } from '../../shared/clock.ts';
import { testSeed } from '../seed.ts';
import { fuzz } from './fuzz.ts';
import { TRANSPORTS, type TransportName } from './transport.ts';

/** Sends so many packets over each transport, in a subtest each. */
export async function survivesPackets(
  t: Test,
  packets: Readonly<Record<TransportName, number>>,
): Promise<void> {
  const seed = testSeed();
  for (const transport of TRANSPORTS) {
    const wanted = packets[transport];
    await t.test(`${transport}: ${wanted} packets, seed ${seed}`, async (t) => {
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
}
