/** The broker's answers to the QoS 2 cases, beside mosquitto's (test/servers/mosquitto-qos2.servers.ts). */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { testDir } from '../../../test-dir.ts';
import { bufferFile, contents } from '../../store/fixture.ts';
import { type Life, life } from '../persistence/life.ts';
import { answerTo, nameOfCase, QOS2_CASES, type Qos2Answer, type Qos2Case } from './qos2-cases.ts';

const MOSQUITTO: Readonly<Record<string, Qos2Answer>> = JSON.parse(
  readFileSync(new URL('./qos2-mosquitto.json', import.meta.url), 'utf8'),
);

/**
 * Its first message is recorded before PUBREC and not at PUBREL, so it is not lost with the session; and its
 * sessions outlive SIGKILL, where mosquitto's do not.
 */
function expected({ clean, content, restart }: Qos2Case, theirs: Qos2Answer): Qos2Answer {
  const isRepetition = !clean && content === 'same';
  const sessionPresent = restart === 'killed' ? !clean : theirs.sessionPresent;
  const second = content === 'same' ? 'first' : 'other';
  return { sessionPresent, delivered: isRepetition ? ['first'] : ['first', second] };
}

/** The file as a SIGKILL leaves it, under another broker. */
async function afterKill(before: Life, from: string, to: string): Promise<Life> {
  mkdirSync(to);
  for (const name of ['buffer.db', 'buffer.db-wal']) copyFileSync(join(from, name), join(to, name));
  await before.stop();
  return await life(bufferFile(to));
}

async function recorded(now: Life): Promise<string[]> {
  const payloads: string[] = [];
  for (const { epoch } of now.store.epochs()) payloads.push(...(await contents(now.store, epoch)).values());
  return payloads;
}

t.jobs = 8;
t.setTimeout(300_000);

for (const one of QOS2_CASES) {
  t.test(nameOfCase(one), { buffered: true }, async (t) => {
    const place = testDir(t, { before: {} });
    const theirs = MOSQUITTO[nameOfCase(one)];
    if (!theirs) throw new Error('not recorded');
    let now = await life(bufferFile(join(place, 'before')));
    const answer = await answerTo(one, {
      port: () => now.port,
      async restart(how) {
        if (how === 'none') return;
        if (how === 'killed') now = await afterKill(now, join(place, 'before'), join(place, 'after'));
        else {
          await now.stop();
          now = await life(bufferFile(join(place, 'before')));
        }
      },
      delivered: () => recorded(now),
    });
    await now.stop();
    t.strictSame(answer, expected(one, theirs));
    for (const payload of theirs.delivered)
      t.ok(answer.delivered.includes(payload), `what mosquitto delivers is not lost: ${payload}`);
  });
}
