/** The MQTT publisher against a real broker over sockets. */

import { createServer } from 'node:http';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import t, { type Test } from 'tap';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { type MqttOptions, mqttOptions } from '../../../../agent/providers/mqtt/options.ts';
import { openMqttPublisher } from '../../../../agent/providers/mqtt/publisher.ts';
import type { Publisher } from '../../../../agent/providers/publisher.ts';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { fault } from '../../../../loopback/faults.ts';
import { TcpProxy } from '../../../../loopback/tcp-proxy.ts';
import { attempt } from '../../../attempt.ts';
import { deps, envelope } from '../../../loopback/gcp-support.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { startBroker } from './support.ts';

const LONG_MS = 60_000;

t.test('a PUBACK accepts; bytes and topic are those given; one connection serves all', async (t) => {
  const broker = await startBroker(t);
  const publisher = await open(t, { url: `mqtt://127.0.0.1:${broker.port}`, topic_prefix: 'plant/7' });
  const sent = envelope(Uint8Array.from({ length: 100_000 }, (_, i) => (i * 31) & 0xff));
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, () => publisher.publish(sent, attempt(LONG_MS))),
  );
  t.ok(outcomes.every(({ kind }) => kind === 'accepted'));
  t.equal(broker.published.length, 40);
  t.ok(broker.published.every(({ topic, qos }) => topic === 'plant/7/gw-1/vitals' && qos === 1));
  t.ok(broker.published.every(({ payload }) => payload.equals(sent.bytes)));
  t.equal(broker.connections(), 1);
  const larger = envelope(new Uint8Array(publisher.maxEnvelopeBytes + 1));
  t.match(await publisher.publish(larger, attempt(LONG_MS)), {
    kind: 'rejected',
    scope: 'envelope',
    cause: 'too-large',
  });
});

t.test('refused, then black-holed: the outcome, and how soon service is normal again', async (t) => {
  const broker = await startBroker(t);
  const proxy = new TcpProxy({ targetPort: broker.port, port: 0, ...deps });
  await proxy.start();
  t.after(() => proxy.stop());
  const publisher = await open(t, { url: `mqtt://127.0.0.1:${proxy.port}` });
  const recovered = async (what: string): Promise<void> => {
    await proxy.setFault(null);
    await accepted(publisher, what);
  };
  await proxy.setFault(fault('refuse'));
  t.match(await publisher.publish(envelope('x'), attempt(400)), {
    kind: 'retryable',
    cause: 'connection-refused',
  });
  await recovered('refused at the start');
  await proxy.setFault(fault('refuse'));
  await until('a try is refused', async () => {
    const outcome = await publisher.publish(envelope('x'), attempt(400));
    return outcome.kind === 'retryable' && outcome.cause === 'connection-refused';
  });
  await recovered('refused');
  await proxy.setFault(fault('blackhole'));
  t.match(await publisher.publish(envelope('x'), attempt(400)), { kind: 'unknown', cause: 'deadline' });
  await recovered('black hole');
  await publisher.close();
  const fresh = await open(t, { url: `mqtt://127.0.0.1:${proxy.port}` });
  await proxy.setFault(fault('blackhole'));
  t.match(
    await fresh.publish(envelope('x'), attempt(400)),
    { kind: 'retryable', cause: 'timeout' },
    'never sent',
  );
});

t.test('a connection cut in flight is unknown, and nothing is sent again by itself', async (t) => {
  const broker = await startBroker(t);
  const publisher = await open(t, { url: `mqtt://127.0.0.1:${broker.port}` });
  t.same(await publisher.publish(envelope('before'), attempt(LONG_MS)), { kind: 'accepted' });
  broker.withhold('cut');
  t.match(await publisher.publish(envelope('cut'), attempt(LONG_MS)), {
    kind: 'unknown',
    cause: 'connection-lost',
  });
  broker.withhold('silent');
  await until(
    'one is sent',
    async () => (await publisher.publish(envelope('silent'), attempt(200))).kind === 'unknown',
  );
  broker.withhold(null);
  t.same(await publisher.publish(envelope('after'), attempt(LONG_MS)), { kind: 'accepted' });
  t.same(
    broker.published.map(({ payload }) => payload.toString()),
    ['before', 'cut', 'silent', 'after'],
  );
});

t.test('CONNACK says why', async (t) => {
  const broker = await startBroker(t);
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const wrong = await open(t, { url, username: 'u', password: 'wrong' });
  const unauthorized = { kind: 'rejected', scope: 'provider', cause: 'unauthorized' };
  const outcome = await wrong.publish(envelope('x'), attempt(LONG_MS));
  t.match(outcome, unauthorized);
  t.notMatch(JSON.stringify(outcome), /wrong/);
  const expected: [number, object][] = [
    [2, { kind: 'rejected', scope: 'provider', cause: 'invalid' }],
    [3, { kind: 'retryable', cause: 'unavailable' }],
    [4, unauthorized],
    [5, unauthorized],
  ];
  for (const [returnCode, pattern] of expected) {
    broker.refuse(returnCode);
    const publisher = await open(t, { url });
    t.match(await publisher.publish(envelope('x'), attempt(LONG_MS)), pattern, `return code ${returnCode}`);
  }
});

t.test('connects are spaced, however often it is asked', async (t) => {
  const broker = await startBroker(t);
  broker.refuse(3);
  const clock = new ManualClock();
  const publisher = await open(t, { url: `mqtt://127.0.0.1:${broker.port}` }, clock);
  const connectedAtMs: number[] = [];
  while (clock.monoMs() < 3000) {
    t.match(await publisher.publish(envelope('x'), attempt(LONG_MS)), {
      kind: 'retryable',
      cause: 'unavailable',
    });
    if (broker.connections() > connectedAtMs.length) connectedAtMs.push(clock.monoMs());
    clock.advance(50);
  }
  t.same(connectedAtMs, [0, 250, 750, 1750, 2750]);
});

t.test('what stays without a PUBACK does not pile up: the connection is given up (I10)', async (t) => {
  const broker = await startBroker(t);
  const publisher = await open(t, { url: `mqtt://127.0.0.1:${broker.port}` });
  t.same(await publisher.publish(envelope('x'), attempt(LONG_MS)), { kind: 'accepted' });
  broker.withhold('silent');
  for (let round = 0; round < 2; round++) {
    const outcomes = await Promise.all(
      Array.from({ length: 16 }, () => publisher.publish(envelope('x'), attempt(50))),
    );
    t.ok(outcomes.every(({ kind }) => kind === 'unknown'));
  }
  broker.withhold(null);
  await accepted(publisher, 'over a new connection');
  t.equal(broker.connections(), 2);
});

t.test('TLS: the named authority is trusted and no other; a key that is none does not open', async (t) => {
  const ca = await createCertificateAuthority(deps.clock, deps.entropy);
  const other = await createCertificateAuthority(deps.clock, deps.entropy);
  const broker = await startBroker(t, { tls: await ca.issue('localhost', 'server') });
  const directory = testDir(t, { 'ca.pem': ca.ca, 'other.pem': other.ca, 'junk.pem': 'junk' });
  const url = `mqtts://localhost:${broker.port}`;
  const trusted = await open(t, { url, ca_file: join(directory, 'ca.pem') });
  t.same(await trusted.publish(envelope('x'), attempt(LONG_MS)), { kind: 'accepted' });
  const distrusted = await open(t, { url, ca_file: join(directory, 'other.pem') });
  t.match(await distrusted.publish(envelope('x'), attempt(LONG_MS)), { kind: 'retryable', cause: 'tls' });
  const junk = mqttOptions.parse({ url, key_file: join(directory, 'junk.pem') });
  await t.rejects(openMqttPublisher(junk, deps));
  await t.rejects(openMqttPublisher({ ...junk, ca_file: '/nowhere' }, deps), { code: 'ENOENT' });
});

t.test('over WebSocket', async (t) => {
  const aedes = await Aedes.createBroker();
  const http = createServer();
  const sockets = new WebSocketServer({ server: http });
  sockets.on('connection', (socket, request) => aedes.handle(createWebSocketStream(socket), request));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    await new Promise<void>((resolve) => aedes.close(resolve));
    sockets.close();
    await new Promise<void>((resolve) => http.close(() => resolve()));
  });
  const address = http.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const publisher = await open(t, { url: `ws://127.0.0.1:${port}/mqtt` });
  t.same(await publisher.publish(envelope('x'), attempt(LONG_MS)), { kind: 'accepted' });
  await publisher.close();
});

t.test('options', async (t) => {
  const url = 'mqtts://broker:8883';
  t.match(mqttOptions.parse({ url }), { topic_prefix: 'headgate', max_envelope_bytes: 262_144 });
  t.match(mqttOptions.parse({ url, max_envelope_bytes: '1MiB' }), { max_envelope_bytes: 1_048_576 });
  t.throws(() => mqttOptions.parse({ url: 'https://broker' }));
  for (const topic_prefix of ['a/+', '#', '$SYS', '/a', 'a/', '']) {
    t.throws(() => mqttOptions.parse({ url, topic_prefix }), topic_prefix);
  }
});

async function accepted(publisher: Publisher, when: string): Promise<void> {
  await until(`a publish is accepted, ${when}`, async () => {
    const outcome = await publisher.publish(envelope('x'), attempt(LONG_MS));
    return outcome.kind === 'accepted';
  });
}

async function open(t: Test, options: Partial<MqttOptions>, clock = deps.clock): Promise<Publisher> {
  const publisher = await openMqttPublisher(mqttOptions.parse(options), { ...deps, clock });
  t.after(() => publisher.close());
  return publisher;
}
