/** Devices → broker → store, with real clients and a real file. */

import { promisify } from 'node:util';
import { connectAsync, type MqttClient } from 'mqtt';
import t from 'tap';
import { Intake } from '../../../agent/broker/intake.ts';
import { systemClock } from '../../../shared/clock.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { bufferFile, contents, refusingAt, storeOn } from '../store/fixture.ts';
import { SILENT, startBroker } from './fixture.ts';

const STREAMS = [
  { name: 'alarm', filters: ['+/alarm', 'plant/+/alarm/#'] },
  { name: 'telemetry', filters: ['#'] },
];
const DEVICES = 20;
const PUBLISHES = 200;

t.test('the first stream with a matching filter takes the publish', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)), {
    limits: refusingAt(2 ** 20, ['alarm', 'telemetry']),
  });
  await store.start();
  const clock = new ManualClock();
  clock.advance(1234.5);
  const intake = new Intake({ store, streams: STREAMS, clock, log: SILENT });
  const publish = {
    device: 'd',
    payload: Buffer.from('12345'),
    qos: 1,
    retransmitted: false,
    session: null,
  } as const;
  const take = promisify(intake.take.bind(intake));
  await take({ ...publish, topic: 'x/alarm' });
  await take({ ...publish, topic: 'plant/1/alarm/high', retransmitted: true });
  await take({ ...publish, topic: 'plant/1/temp' });
  await t.rejects(take({ ...publish, topic: 'full', payload: Buffer.alloc(2 ** 20) }), {
    code: 'full',
  });
  const topicsOf = async (stream: string) =>
    (await store.read(store.epoch, stream, 1, 10, 1000)).map(({ topic }) => topic);
  t.same(await topicsOf('alarm'), ['x/alarm', 'plant/1/alarm/high']);
  t.same(await topicsOf('telemetry'), ['plant/1/temp']);
  t.same(Object.fromEntries(intake.counters()), {
    alarm: { records: 2, bytes: 2 * 6 + 7 + 18, failed: 0, retransmitted: 1 },
    telemetry: { records: 1, bytes: 6 + 12, failed: 1, retransmitted: 0 },
  });
  const [first] = await store.read(store.epoch, 'alarm', 1, 1, 1000);
  t.equal(first?.monoMs, 1234, 'stamped with monotonic time (I7)');
  await store.stop();
});

t.test(`${DEVICES} devices × ${PUBLISHES} QoS 1 publishes are in the store exactly once`, async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)));
  await store.start();
  const intake = new Intake({ store, streams: STREAMS, clock: systemClock, log: SILENT });
  const { broker, port } = await startBroker((publish, settled) => intake.take(publish, settled));
  const clients = await Promise.all(
    Array.from({ length: DEVICES }, (_, d) =>
      connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: `dev-${d}`, protocolVersion: 4 }),
    ),
  );
  const publishAll = async (client: MqttClient, d: number): Promise<void> => {
    const publishes = Array.from({ length: PUBLISHES }, (_, i) =>
      client.publishAsync(i % 10 === 0 ? `plant/${d}/alarm` : `plant/${d}/temp`, `${d}:${i}`, { qos: 1 }),
    );
    await Promise.all(publishes);
  };
  await Promise.all(clients.map(publishAll));
  t.equal(broker.stats().published, DEVICES * PUBLISHES);
  t.equal(broker.stats().connections, DEVICES);

  const alarms = [...(await contents(store, store.epoch, 'alarm')).values()];
  const telemetry = [...(await contents(store, store.epoch, 'telemetry')).values()];
  const expected = Array.from({ length: DEVICES }, (_, d) =>
    Array.from({ length: PUBLISHES }, (_, i) => `${d}:${i}`),
  ).flat();
  t.same([...alarms, ...telemetry].sort(), expected.sort());
  t.ok(alarms.every((text) => Number(text.split(':')[1]) % 10 === 0));
  for (let d = 0; d < DEVICES; d++) {
    const own = telemetry
      .filter((text) => text.startsWith(`${d}:`))
      .map((text) => Number(text.split(':')[1]));
    if (!own.every((n, i) => i === 0 || n > (own[i - 1] ?? 0)))
      t.fail(`dev-${d} is out of order: ${own.join(' ')}`);
  }
  const { commits } = await store.stats();
  t.ok(commits < DEVICES * PUBLISHES, `${commits} commits`);
  await Promise.all(clients.map((client) => client.endAsync()));
  await broker.stop();
  await store.stop();
});
