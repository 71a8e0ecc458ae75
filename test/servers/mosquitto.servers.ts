import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { Devices } from '../../agent/broker/access/devices.ts';
import { Broker } from '../../agent/broker/broker.ts';
import { mqttOptions } from '../../agent/providers/mqtt/options.ts';
import { openMqttPublisher } from '../../agent/providers/mqtt/publisher.ts';
import type { OutboundEnvelope, Publisher } from '../../agent/providers/publisher.ts';
import { mqttSourceOptions } from '../../router/sources/mqtt/options.ts';
import { MqttSource } from '../../router/sources/mqtt/source.ts';
import type { Delivery, Source } from '../../router/sources/source.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { sessionsOn } from '../agent/broker/fixture.ts';
import { attempt } from '../attempt.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { type Mosquitto, mosquitto, PASSWORD, USERNAME } from './mosquitto.ts';

const log = createLogger({ level: 'silent', levels: {} });
const DEADLINE_MS = 3000;

async function started(t: Test): Promise<Mosquitto> {
  const server = await mosquitto(testDir(t));
  await server.start();
  t.teardown(() => server.stop());
  return server;
}

async function publisher(t: Test, port: number, password = PASSWORD): Promise<Publisher> {
  const options = mqttOptions.parse({ url: `mqtt://127.0.0.1:${port}`, username: USERNAME, password });
  const opened = await openMqttPublisher(options, { clock: systemClock, log });
  t.teardown(() => opened.close());
  return opened;
}

/** A source that collects what it settles. */
async function reader(t: Test, port: number, seen: string[]): Promise<Source> {
  const options = mqttSourceOptions.parse({
    url: `mqtt://127.0.0.1:${port}`,
    username: USERNAME,
    password: PASSWORD,
  });
  const source = new MqttSource('plant', options, { clock: systemClock, entropy: systemEntropy, log });
  await source.start(async (delivery: Delivery) => {
    seen.push(Buffer.from(delivery.bytes).toString());
    return 'settle';
  });
  t.teardown(() => source.stop());
  return source;
}

function envelope(text: string): OutboundEnvelope {
  const properties = { hg: '1', gw: 'gw-1', ep: '1-ab', st: 'telemetry' };
  return { gateway: 'gw-1', stream: 'telemetry', bytes: Buffer.from(text), properties };
}

t.test(
  'what mosquitto acknowledged reaches the router, also what it queued while the router was away',
  async (t) => {
    const server = await started(t);
    const sender = await publisher(t, server.port);
    const seen: string[] = [];
    const first = await reader(t, server.port, seen);
    await until('the source is connected', () => first.state().connected);
    for (let i = 0; i < 100; i++)
      t.equal((await sender.publish(envelope(`a${i}`), attempt(DEADLINE_MS))).kind, 'accepted');
    await until('100 are in seen', () => seen.length >= 100);
    await first.stop();
    for (let i = 0; i < 100; i++)
      t.equal((await sender.publish(envelope(`b${i}`), attempt(DEADLINE_MS))).kind, 'accepted');
    await reader(t, server.port, seen);
    await until('all 200 are read', () => new Set(seen).size >= 200);
    t.equal(new Set(seen).size, 200);
  },
);

t.test('a broker that dies is not an acceptance, and is used again when it is back', async (t) => {
  const server = await started(t);
  const sender = await publisher(t, server.port);
  t.equal((await sender.publish(envelope('before'), attempt(DEADLINE_MS))).kind, 'accepted');
  await server.kill();
  const outcome = await sender.publish(envelope('during'), attempt(DEADLINE_MS));
  t.ok(['retryable', 'unknown'].includes(outcome.kind), JSON.stringify(outcome));
  await server.start();
  await until('a publish is accepted again', async () => {
    const { kind } = await sender.publish(envelope('after'), attempt(DEADLINE_MS));
    return kind === 'accepted';
  });
});

t.test('a wrong password is told as unauthorized', async (t) => {
  const server = await started(t);
  const sender = await publisher(t, server.port, 'wrong');
  t.match(await sender.publish(envelope('x'), attempt(DEADLINE_MS)), {
    kind: 'rejected',
    scope: 'provider',
    cause: 'unauthorized',
  });
});

t.test("mosquitto_pub publishes to the agent's broker", async (t) => {
  const taken: string[] = [];
  const broker = new Broker({
    localTopics: [],
    sessions: sessionsOn(),
    listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0 }],
    limits: {
      maxPacketBytes: 262_144,
      connectTimeoutMs: 5000,
      maxConnections: 10,
      maxSubscriptions: 10,
      maxTopicBytes: 1024,
      maxUnsentBytes: 2 ** 20,
      maxConnectRate: 0,
      maxConnectionsPerDevice: 10,
      maxConnectRatePerDevice: 0,
      maxPendingPerAddress: 10,
      maxPacketRate: 0,
      maxConnectRatePerAddress: 0,
      maxPublishRate: 0,
      maxPublishBytesRate: 0,
      maxTopicLevels: 32,
    },
    devices: new Devices({ file: '', clock: systemClock, log }),
    allowAnonymous: true,
    clock: systemClock,
    entropy: systemEntropy,
    log,
    intake: ({ device, topic, payload }, settled) => {
      taken.push(`${device} ${topic} ${Buffer.from(payload).toString()}`);
      settled(null);
    },
  });
  await broker.start();
  t.teardown(() => broker.stop());
  const port = String(broker.addresses()[0]?.port);
  const args = ['-h', '127.0.0.1', '-p', port, '-q', '1', '-i', 'pump-1', '-t', 'plant/pump-1/pressure'];
  await promisify(execFile)('mosquitto_pub', [...args, '-m', '{"bar":4.2}'], { timeout: 5000 });
  t.strictSame(taken, ['pump-1 plant/pump-1/pressure {"bar":4.2}']);
});
