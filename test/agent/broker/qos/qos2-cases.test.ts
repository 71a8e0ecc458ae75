/** The broker's answers to the QoS 2 cases, beside mosquitto's (test/servers/mosquitto-qos2.servers.ts). */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { testDir } from '../../../test-dir.ts';
import { bufferFile } from '../../store/fixture.ts';
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

/** The rows of a device in the store. */
async function recorded({ store }: Life, device: string): Promise<string[]> {
  const payloads: string[] = [];
  for (const { epoch } of store.epochs()) {
    const records = await store.read(epoch, 'telemetry', 1, Number.MAX_SAFE_INTEGER, 1 << 20);
    for (const record of records)
      if (record.device === device) payloads.push(Buffer.from(record.payload).toString());
  }
  return payloads;
}

for (const restart of ['none', 'orderly', 'killed'] as const) {
  t.test(`restart: ${restart}`, async (t) => {
    const place = testDir(t, { before: {} });
    const cases = QOS2_CASES.filter((one) => one.restart === restart);
    let now = await life(bufferFile(join(place, 'before')));
    let waiting = cases.length;
    const restarted = Promise.withResolvers<void>();
    const restartOnce = async (): Promise<void> => {
      if (restart === 'killed') now = await afterKill(now, join(place, 'before'), join(place, 'after'));
      if (restart === 'orderly') {
        await now.stop();
        now = await life(bufferFile(join(place, 'before')));
      }
    };
    const answers = await Promise.all(
      cases.map((one, index) =>
        answerTo(one, {
          device: `device-${index}`,
          port: () => now.port,
          async restart() {
            waiting -= 1;
            if (waiting === 0) restartOnce().then(restarted.resolve, restarted.reject);
            await restarted.promise;
          },
          delivered: () => recorded(now, `device-${index}`),
        }),
      ),
    );
    await now.stop();
    for (const [index, one] of cases.entries()) {
      const name = nameOfCase(one);
      const theirs = MOSQUITTO[name];
      const answer = answers[index];
      if (!theirs || !answer) throw new Error('not recorded');
      t.strictSame(answer, expected(one, theirs), name);
      for (const payload of theirs.delivered)
        t.ok(answer.delivered.includes(payload), `${name}: what mosquitto delivers is not lost: ${payload}`);
    }
  });
}
