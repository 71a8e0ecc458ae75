/** Devices → broker → store, with real clients and a real file. */

import { promisify } from 'node:util';
import { connectAsync, type MqttClient } from 'mqtt';
import t from 'tap';
import { Intake } from '../../../agent/broker/intake.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
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

t.test('a record fits when the providers of its stream take an envelope with it, compressed', (t) => {
  const { store } = storeOn(bufferFile(testDir(t)));
  const envelopeBytes = new Map([['telemetry', 128 * 1024]]);
  const intake = new Intake({
    store,
    streams: STREAMS,
    envelopeBytes,
    clock: new ManualClock(),
    log: SILENT,
  });
  const noise = Buffer.from(systemEntropy.bytes(200_000));
  const fits = (topic: string, payload: Uint8Array): boolean => intake.fits({ topic, device: 'd', payload });
  t.ok(fits('plant/1/temp', noise.subarray(0, 128_000)));
  t.notOk(fits('plant/1/temp', noise));
  t.ok(fits('plant/1/temp', Buffer.alloc(200_000, 'a reading ')), 'it shrinks');
  t.ok(fits('x/alarm', noise), 'the other stream has no limit');
  t.end();
});

t.test('a device whose record fits no provider is refused, and others are not (I3)', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)));
  await store.start();
  t.teardown(() => store.stop());
  const envelopeBytes = new Map([['telemetry', 128 * 1024]]);
  const intake = new Intake({ store, streams: STREAMS, envelopeBytes, clock: systemClock, log: SILENT });
  const take = (...args: Parameters<Intake['take']>): void => intake.take(...args);
  const { broker, port } = await startBroker(take, { fits: (publish) => intake.fits(publish) });
  t.teardown(() => broker.stop());
  const options = { protocolVersion: 4, reconnectPeriod: 0 } as const;
  const device = await connectAsync(`mqtt://127.0.0.1:${port}`, options);
  const closed = new Promise<void>((resolve) => device.once('close', () => resolve()));
  device.publish('plant/1/temp', Buffer.from(systemEntropy.bytes(200_000)), { qos: 1 });
  await closed;
  t.match(broker.stats().refusals, { 'record-too-large': 1 });
  const other = await connectAsync(`mqtt://127.0.0.1:${port}`, options);
  await other.publishAsync('plant/1/temp', Buffer.from(systemEntropy.bytes(200_000)), { qos: 0 });
  await other.publishAsync('plant/1/temp', 'small', { qos: 1 });
  t.match(broker.stats(), { published: 1, refusals: { 'record-too-large': 2 } });
  await other.endAsync(true);
});

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
