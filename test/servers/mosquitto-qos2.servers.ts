/**
 * The answers of a real mosquitto to the QoS 2 cases are those recorded in qos2-mosquitto.json, which the
 * broker's own test compares itself with. `RECORD=1` writes the file anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { connectAsync } from 'mqtt';
import t from 'tap';
import { answerTo, nameOfCase, QOS2_CASES, type Qos2Answer } from '../agent/broker/qos/qos2-cases.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { mosquitto } from './mosquitto.ts';

const RECORDED = new URL('../agent/broker/qos/qos2-mosquitto.json', import.meta.url);
const isRecording = process.env['RECORD'] === '1';

t.test('mosquitto answers the QoS 2 cases as recorded', async (t) => {
  const answers: Record<string, Qos2Answer> = {};
  for (const one of QOS2_CASES) {
    const server = await mosquitto(testDir(t), { anonymous: true });
    await server.start();
    t.teardown(() => server.stop());
    const delivered: string[] = [];
    const url = `mqtt://127.0.0.1:${server.port}`;
    const options = { protocolVersion: 4, clientId: 'watcher', clean: false, reconnectPeriod: 20 } as const;
    const watcher = await connectAsync(url, options);
    watcher.on('message', (_, payload) => delivered.push(payload.toString()));
    await watcher.subscribeAsync('qos2/#', { qos: 1 });
    answers[nameOfCase(one)] = await answerTo(one, {
      device: 'device',
      port: () => server.port,
      async restart(how) {
        if (how === 'none') return;
        if (how === 'orderly') await server.stop();
        else await server.kill();
        await server.start();
        await until('the watcher is back', () => watcher.connected);
        await watcher.subscribeAsync('qos2/#', { qos: 1 });
      },
      async delivered() {
        await watcher.publishAsync('qos2/end', 'end', { qos: 1 });
        await until('the end', () => delivered.includes('end'));
        return delivered.filter((payload) => payload !== 'end');
      },
    });
    await watcher.endAsync(true);
    await server.stop();
  }
  if (isRecording) writeFileSync(RECORDED, `${JSON.stringify(answers, null, 2)}\n`);
  t.strictSame(answers, JSON.parse(readFileSync(RECORDED, 'utf8')));
});
