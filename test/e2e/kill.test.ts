/** Kills of the whole way in short; kill.slow.ts has more of them. */
import t from 'tap';
import { surviveKills } from './kills.ts';

const KILLS = 2;

t.test(
  `${KILLS} random SIGKILLs each of agent and router lose and double nothing (I1, I2, I3, I5)`,
  async (t) => {
    await surviveKills(t, { kills: KILLS, durationSeconds: 12, fault: 'aws:ack-lost@4-8' });
  },
);
