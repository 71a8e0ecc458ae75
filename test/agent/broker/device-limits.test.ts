/** Limits of one device, one address and one page at the broker; over real sockets (I10). */
import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { isOriginAllowed } from '../../../agent/broker/listeners/origin.ts';
import { FrameCounter } from '../../../agent/broker/listeners/web-socket-frames.ts';
import type { BrokerOptions } from '../../../agent/broker/options.ts';
import { deviceOf } from '../../../agent/broker/persistence/device-of.ts';
import { DeviceLimits } from '../../../agent/broker/rates/device-limits.ts';
import { PacketRate } from '../../../agent/broker/rates/packet-rate.ts';
import { ManualClock } from '../../manual-clock.ts';
import { asTimePasses, until } from '../../until.ts';
import { device, loggedIn, login, PASSWORD, startGated } from './access/devices-fixture.ts';
import { connack, connect, PINGREQ, PINGRESP, puback, publish } from './conformance/packets.ts';
import { sessionsOn, startBroker } from './fixture.ts';
import { CONNACK_OK, connectPacket, RawClient } from './raw-client.ts';

const accept: BrokerOptions['intake'] = (_publish, settled) => settled(null);

t.test('connections of one device, over its client ids', async (t) => {
  const gated = await startGated(
    t,
    { devices: [device('pump-1'), device('pump-2')] },
    { limits: { maxConnectionsPerDevice: 3 } },
  );
  const { broker, port } = gated;
  const as = (clientId: string) => login(t, { port, clientId, username: 'pump-1', password: PASSWORD });
  const first = await as('pump-1');
  for (const clientId of ['pump-1/a', 'pump-1/b']) t.equal(typeof (await as(clientId)), 'object');
  t.equal(await as('pump-1/c'), 3, 'server unavailable');
  t.equal(broker.stats().refusals['device-limit'], 1);
  t.match(
    broker.clients().find(({ clientId }) => clientId === 'pump-1/c'),
    { lastRefusal: 'device-limit', connectedMs: null },
  );
  await loggedIn(t, 'pump-2', { port });
  if (typeof first === 'object') await first.endAsync();
  await until('its connection has ended', () => broker.stats().connections === 3);
  t.equal(typeof (await as('pump-1/c')), 'object', 'an ended connection gives its place back');
});

t.test('logins of one device in a second', async (t) => {
  const clock = new ManualClock();
  const limits = new DeviceLimits(
    { maxConnectionsPerDevice: 1000, maxConnectRatePerDevice: 2, maxPendingPerAddress: 1 },
    clock,
  );
  const tries = (name: string, count: number) =>
    Array.from({ length: count }, () => limits.connect(name)).filter((one) => one !== 'connect-rate').length;
  t.equal(tries('pump-1', 100), 20, 'ten seconds’ worth');
  t.equal(tries('pump-2', 5), 5);
  clock.advance(1000);
  t.equal(tries('pump-1', 10), 2);

  const { broker, port } = await startGated(
    t,
    { devices: [device('pump-1')] },
    { limits: { maxConnectRatePerDevice: 1 } },
  );
  const codes: unknown[] = [];
  for (let i = 0; i < 60 && codes.at(-1) !== 3; i++) {
    const client = await login(t, { port, clientId: 'pump-1', username: 'pump-1', password: PASSWORD });
    codes.push(client);
    if (typeof client === 'object') await client.endAsync();
  }
  t.equal(codes.at(-1), 3);
  t.ok((broker.stats().refusals['connect-rate'] ?? 0) >= 1);
});

t.test('connections from one address that have not logged in', async (t) => {
  const { broker, port } = await startBroker(accept, { limits: { maxPendingPerAddress: 5 } });
  t.teardown(() => broker.stop());
  const done = await RawClient.open(port);
  done.send(connectPacket('done', true));
  await until('CONNACK', () => done.received === CONNACK_OK);
  const silent = Array.from({ length: 8 }, () => connectSocket(port, '127.0.0.1'));
  for (const socket of silent) socket.on('error', () => undefined);
  await until('three are refused', () => broker.stats().refusals['address-limit'] === 3);
  t.equal(broker.stats().connections, 6, 'the one that is in does not count');
  t.match(broker.clients()[0], { clientId: '', lastRefusal: 'address-limit' });
  for (const socket of silent) socket.destroy();
  await until('they are gone', () => broker.stats().connections === 1);
  const another = await RawClient.open(port);
  another.send(connectPacket('another', true));
  await until('CONNACK', () => another.received === CONNACK_OK);
  for (const client of [done, another]) client.close();
});

t.test('a client over its packet rate is read more slowly, and told', async (t) => {
  const clock = new ManualClock();
  const rate = new PacketRate(100, clock);
  for (let i = 0; i < 1000; i++) rate.took({ cmd: 'publish' });
  t.equal(rate.waitMs(), 0, 'a PUBLISH has limits of its own');
  for (let i = 0; i < 100; i++) rate.took({ cmd: 'pingreq' });
  rate.took({ cmd: 'subscribe', subscriptions: Array.from({ length: 10 }) });
  t.equal(rate.waitMs(), 10, 'a filter is ten packets');
  clock.advance(10);
  t.equal(rate.waitMs(), 0);

  const { broker, port } = await startBroker(accept, { clock, limits: { maxPacketRate: 10 } });
  t.teardown(() => broker.stop());
  const [busy, other] = [await RawClient.open(port), await RawClient.open(port)];
  for (const [client, id] of [
    [busy, 'busy'],
    [other, 'other'],
  ] as const) {
    client.send(connectPacket(id, true));
    await until('CONNACK', () => client.received === CONNACK_OK);
  }
  // The first bytes are read as one chunk; those after it wait for their time.
  busy.send(Buffer.concat(Array.from({ length: 40 }, () => PINGREQ)));
  await until('the first are answered', () => busy.received.length >= (4 + 40 * 2) * 2);
  busy.send(PINGREQ);
  await until('it is told', () => broker.stats().refusals['packet-rate'] === 1);
  await other.roundTrip();
  t.equal(busy.received.length, (4 + 40 * 2) * 2, 'the others are answered meanwhile');
  t.match(
    broker.clients().find(({ clientId }) => clientId === 'busy'),
    { lastRefusal: 'packet-rate' },
  );
  t.notOk(busy.ended);
  clock.advance(3000);
  await until('it is read again', () => busy.received.length === (4 + 41 * 2) * 2);
  for (const client of [busy, other]) client.close();
});

t.test('sessions of one device, and what is queued and retained for it', async (t) => {
  const sessions = sessionsOn(undefined, {
    maxSessionsPerDevice: 2,
    maxQueuedBytesPerDevice: 100,
    maxRetainedMessagesPerDevice: 3,
    maxRetainedBytesPerDevice: 60,
  });
  const { broker, port } = await startBroker(accept, { sessions });
  t.teardown(() => broker.stop());
  t.ok(sessions.hasRoomFor('pump-1/a', 'pump-1'));
  for (const clientId of ['pump-1/a', 'pump-1/b', 'pump-2']) {
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
      clientId,
      clean: false,
      protocolVersion: 4,
    });
    await client.subscribeAsync('to/#', { qos: 1 });
    await client.endAsync();
  }
  t.notOk(sessions.hasRoomFor('pump-1/c', 'pump-1'));
  t.ok(sessions.hasRoomFor('pump-1/a', 'pump-1'), 'it has one');
  t.ok(sessions.hasRoomFor('pump-10', 'pump-10'), 'another name');
  const publisher = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    clientId: 'pump-3',
    protocolVersion: 4,
  });
  for (let i = 0; i < 4; i++) await publisher.publishAsync('to/all', 'x'.repeat(20), { qos: 1 });
  const { queuedBytes, queuedMessages } = sessions.counts();
  t.match(
    { queuedBytes, queuedMessages },
    { queuedMessages: 6, queuedBytes: 6 * 26 },
    'three for each device, over its client ids',
  );
  t.equal(sessions.dropped().get('queue-full'), 6);
  for (let i = 0; i < 5; i++) await publisher.publishAsync(`kept/${i}`, 'y', { qos: 1, retain: true });
  t.equal(sessions.counts().retained, 3);
  await publisher.publishAsync('kept/0', 'z'.repeat(60), { qos: 1, retain: true });
  await publisher.publishAsync('kept/1', '', { qos: 1, retain: true });
  await publisher.publishAsync('kept/4', 'y', { qos: 1, retain: true });
  t.equal(sessions.counts().retained, 3, 'a removed one gives its place back');
  t.equal(sessions.dropped().get('retained-full'), 3);
  await publisher.endAsync();
  const another = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'pump-4', protocolVersion: 4 });
  await another.publishAsync('kept/5', 'y', { qos: 1, retain: true });
  t.equal(sessions.counts().retained, 4, 'another device has places of its own');
  await another.endAsync();
});

async function webSocketBroker(
  t: Test,
  limits: Partial<BrokerOptions['limits']> = {},
  origins: string[] = [],
) {
  const started = await startBroker(accept, {
    listeners: [{ type: 'ws', host: '127.0.0.1', port: 0, origins }],
    limits,
  });
  t.teardown(() => started.broker.stop());
  return started;
}

t.test('a page of an origin that is not listed cannot connect', async (t) => {
  const { broker, port } = await webSocketBroker(t, {}, ['https://hmi.example.com']);
  const opened = async (origin?: string): Promise<number> => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, 'mqtt', origin === undefined ? {} : { origin });
    t.teardown(() => socket.terminate());
    return new Promise((resolve) => {
      socket.once('open', () => resolve(101));
      socket.once('error', () => undefined);
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
    });
  };
  t.equal(await opened('https://evil.example.com'), 401);
  t.equal(await opened('null'), 401);
  t.equal(await opened('https://hmi.example.com'), 101);
  t.equal(await opened(`http://127.0.0.1:${port}`), 101, 'a client library');
  t.equal(await opened(), 101, 'no browser');
  t.equal(broker.stats().refusals.origin, 2);
  t.notOk(isOriginAllowed('http://plant.example.com:9001', 'plant.example.com:9001', []), 'DNS rebinding');
  t.ok(isOriginAllowed('http://[fd00::1]:9001', '[fd00::1]:9001', []));
  t.notOk(isOriginAllowed('http://10.0.0.1:80', '10.0.0.1:9001', []));
  t.ok(isOriginAllowed('https://10.0.0.1', '10.0.0.1:443', []));
  t.notOk(isOriginAllowed('https://10.0.0.1', undefined, []));
});

t.test('a WebSocket message before CONNECT is as small as a first packet over TCP', async (t) => {
  const { broker, port } = await webSocketBroker(t);
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, 'mqtt');
  await once(socket, 'open');
  const closed = once(socket, 'close');
  socket.send(Buffer.alloc(8192), { fin: false });
  await closed;
  t.equal(broker.stats().refusals['packet-too-large'], 1);

  const large = new WebSocket(`ws://127.0.0.1:${port}`, 'mqtt');
  await once(large, 'open');
  let heard = '';
  large.on('message', (data: Buffer) => {
    heard += data.toString('hex');
  });
  // A client need not wait for CONNACK.
  large.send(Buffer.concat([connect('a'), publish('plant/1', 'x'.repeat(60_000), { qos: 1 })]));
  await until('both are answered', () => heard === connack().toString('hex') + puback(1).toString('hex'));
  large.terminate();
});

t.test('fragments and empty frames have their bounds', async (t) => {
  const { broker, port } = await webSocketBroker(t, { maxPacketRate: 10 });
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, 'mqtt');
  await once(socket, 'open');
  socket.send(connect('a'));
  await once(socket, 'message');
  const closed = once(socket, 'close');
  for (let i = 0; i < 100; i++) socket.ping();
  await closed;
  t.equal(broker.stats().refusals['packet-rate'], 1);

  const fragments = new WebSocket(`ws://127.0.0.1:${port}`, 'mqtt');
  await once(fragments, 'open');
  fragments.send(connect('b'));
  await once(fragments, 'message');
  const ended = once(fragments, 'close');
  for (let i = 0; i < 2000; i++) fragments.send(Buffer.from([0]), { fin: false });
  const [code] = await ended;
  t.ok([1006, 1008, 1009].includes(Number(code)), `closed with ${code}`);
});

t.test('a frame is counted once, however its bytes come', (t) => {
  const frame = (bytes: number): Buffer => {
    const long = bytes > 65_535;
    const head = Buffer.alloc(bytes < 126 ? 2 : long ? 10 : 4);
    head.writeUInt16BE(0x8280 + (bytes < 126 ? bytes : long ? 127 : 126), 0);
    if (long) head.writeBigUInt64BE(BigInt(bytes), 2);
    else if (bytes >= 126) head.writeUInt16BE(bytes, 2);
    return Buffer.concat([head, Buffer.alloc(4 + bytes)]);
  };
  const sizes = [0, 1, 125, 126, 1023, 1024, 65_535, 65_536, 2];
  const bytes = Buffer.concat(sizes.map(frame));
  for (const step of [1, 3, 7, 4096, bytes.length]) {
    const counter = new FrameCounter();
    let small = 0;
    for (let at = 0; at < bytes.length; at += step) small += counter.take(bytes.subarray(at, at + step));
    t.equal(small, 6, `of ${sizes.length}, ${step} bytes at a time`);
  }
  t.end();
});

for (const how of ['a message for each byte', 'fragments of a byte']) {
  t.test(`a client of many small frames is read more slowly: ${how}`, async (t) => {
    const clock = new ManualClock();
    const started = await startBroker(accept, {
      clock,
      listeners: [{ type: 'ws', host: '127.0.0.1', port: 0, origins: [] }],
      limits: { maxPacketRate: 50, maxPublishRate: 50 },
    });
    const { broker, port } = started;
    t.teardown(() => broker.stop());
    const opened = async (id: string) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}`, 'mqtt');
      t.teardown(() => socket.terminate());
      const heard = { hex: '' };
      socket.on('message', (data: Buffer) => {
        heard.hex += data.toString('hex');
      });
      await once(socket, 'open');
      socket.send(connect(id));
      await until('CONNACK', () => heard.hex === CONNACK_OK);
      return { socket, heard };
    };
    const [busy, other] = [await opened('busy'), await opened('other')];
    other.socket.send(publish('plant/1', 'x'.repeat(60_000), { qos: 1 }));
    await until('a large frame is one', () => other.heard.hex.endsWith(puback(1).toString('hex')));
    const bytes = publish('plant/1', 'x'.repeat(1000), { qos: 1 });
    const isMessage = how.startsWith('a message');
    for (const [i, byte] of bytes.entries())
      busy.socket.send(Buffer.from([byte]), { fin: isMessage || i === bytes.length - 1 });
    await until('it is told', () => broker.stats().refusals['packet-rate'] === 1);
    busy.socket.send(PINGREQ);
    other.socket.send(PINGREQ);
    await until('another client is answered', () => other.heard.hex.endsWith(PINGRESP.toString('hex')));
    t.notOk(busy.heard.hex.includes(PINGRESP.toString('hex')), 'not read');
    // How much is read at once is for the socket to say, and so how often the client is held.
    const answers = [puback(1), PINGRESP].map((packet) => packet.toString('hex'));
    await asTimePasses(clock, 100, 'it is read again, and nothing is lost', () =>
      answers.every((answer) => busy.heard.hex.includes(answer)),
    );
  });
}

t.test('anonymous clients learn no device names', async (t) => {
  const gated = await startGated(t, { devices: [device('pump-1')] }, { allowAnonymous: true });
  const { port, taken } = gated;
  const own = await loggedIn(t, 'pump-1', { port });
  for (const clientId of ['pump-1', 'pump-1/spare', 'no-device']) {
    const client = await login(t, { port, clientId });
    if (typeof client === 'number') throw new Error(`${clientId} was refused with ${client}`);
    await client.publishAsync('plant/1', 'x', { qos: 1 });
    await client.endAsync();
  }
  t.same(
    taken.map((publish) => publish.device),
    ['~/pump-1', '~/pump-1/spare', 'no-device'],
    'none of their records is one of the device',
  );
  t.ok(own.connected, 'nor did one of them end its connection');

  for (const name of ['pump-1', 'no-device']) {
    const open = async (clientId: string): Promise<RawClient> => {
      const client = await RawClient.open(port);
      client.send(connect(clientId));
      await until('CONNACK', () => client.received === CONNACK_OK);
      return client;
    };
    const [first, second] = [await open(name), await open(`~/${name}`)];
    await second.roundTrip();
    await first.roundTrip();
    t.notOk(first.ended, `${name} and ~/${name} are two clients`);
    for (const client of [first, second]) client.close();
    const longest = { protocolId: 'MQIsdp', protocolVersion: 3 } as const;
    const clientId = `${name}/`.padEnd(23, 'x');
    t.type(await login(t, { port, clientId, ...longest }), 'object', `the longest id of MQTT 3.1, ${name}`);
    t.equal(await login(t, { port, clientId: `${clientId}x`, ...longest }), 2, 'a longer one');
  }
});

t.test('the bounds of anonymous clients with ids of devices are their own', (t) => {
  t.same(['pump-1', 'pump-1/spare', '~/pump-1', '~/pump-1/spare', '~/pump-2', '~'].map(deviceOf), [
    'pump-1',
    'pump-1',
    '~/pump-1',
    '~/pump-1',
    '~/pump-2',
    '~',
  ]);
  t.end();
});

t.test('a device that is removed and added again inherits nothing', async (t) => {
  const rules = [{ allow: 'both' as const, topic: '#' }];
  const gated = await startGated(t, { devices: [device('pump-1', { rules }), device('pump-2', { rules })] });
  const { port, write, devices, broker } = gated;
  const client = await loggedIn(t, 'pump-1', { port, clean: false });
  await client.subscribeAsync('to/pump-1', { qos: 1 });
  await client.endAsync();
  const sender = await loggedIn(t, 'pump-2', { port });
  await sender.publishAsync('to/pump-1', 'for the old one', { qos: 1 });
  const { revision } = devices;
  await write({
    devices: [device('pump-1', { rules, created: '2026-02-02T00:00:00Z' }), device('pump-2', { rules })],
  });
  await until('the device file is read again', () => devices.revision > revision);
  const heard: string[] = [];
  const again = await login(t, {
    port,
    clientId: 'pump-1',
    username: 'pump-1',
    password: PASSWORD,
    clean: false,
  });
  if (typeof again === 'number') throw new Error(`refused with ${again}`);
  again.on('message', (_topic, payload) => heard.push(payload.toString()));
  const fresh = await loggedIn(t, 'pump-2', { port });
  await fresh.publishAsync('to/pump-1', 'to the old subscription', { qos: 1 });
  await again.subscribeAsync('new/pump-1', { qos: 1 });
  await fresh.publishAsync('new/pump-1', 'for the new one', { qos: 1 });
  await until('a message arrives', () => heard.length > 0);
  t.same(heard, ['for the new one']);
  t.equal(broker.stats().refused, 0);
});
