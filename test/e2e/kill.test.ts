/** Kills of the whole way in short; kill.slow.ts has more of them. */
import t from 'tap';
import { surviveKills } from './kills.ts';

t.test('a random SIGKILL each of agent and router loses and doubles nothing (I1, I2, I3, I5)', async (t) => {
  await surviveKills(t, { kills: 1, durationSeconds: 8, fault: 'aws:ack-lost@2-6' });
});
