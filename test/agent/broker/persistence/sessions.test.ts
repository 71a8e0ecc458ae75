/**
 * The session state that the broker keeps over a restart, on a real store and over real sockets, and its
 * bounds (I10).
 */

import { connect } from 'mqtt';
import t, { type Test } from 'tap';
import { readPacket, writtenPacket } from '../../../../agent/broker/persistence/packet.ts';
import { encodeItem } from '../../../../agent/broker/persistence/session-log.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { bufferFile, storeOn } from '../../store/fixture.ts';
import { CONNACK_OK, connectPacket, publishPacket, RawClient } from '../raw-client.ts';
import { inbox, life } from './life.ts';

t.test('subscriptions, queued and retained messages survive a restart, in order', async (t: Test) => {
  const file = bufferFile(testDir(t));
  const first = await life(file);
  const subscriber = await first.connect('display');
  await subscriber.subscribeAsync({ 'plant/+/state': { qos: 1 }, 'plant/+/cmd': { qos: 2 } });
  await subscriber.endAsync();
  const device = await first.connect('pump-1', { clean: true });
  for (let i = 1; i <= 5; i++) await device.publishAsync('plant/1/state', `s${i}`, { qos: 1 });
  await device.publishAsync('plant/1/cmd', 'c1', { qos: 2 });
  await device.publishAsync('plant/1/name', 'Pump 1', { qos: 1, retain: true });
  await device.publishAsync('plant/2/name', 'gone', { qos: 1, retain: true });
  await device.publishAsync('plant/2/name', '', { qos: 1, retain: true });
  await device.endAsync();
  await first.stop();

  const second = await life(file);
  t.match(second.sessions.counts(), { sessions: 1, retained: 1, queuedMessages: 6 });
  const back = connect(`mqtt://127.0.0.1:${second.port}`, {
    clientId: 'display',
    clean: false,
    protocolVersion: 4,
    reconnectPeriod: 0,
  });
  const arrived = inbox(back);
  await until('6 messages arrive', () => arrived.length === 6);
  t.same(arrived, [...[1, 2, 3, 4, 5].map((i) => `plant/1/state s${i} 1`), 'plant/1/cmd c1 2']);
  const other = await second.connect('pump-2', { clean: true });
  await other.publishAsync('plant/9/state', 'live', { qos: 1 });
  await until('7 messages arrive', () => arrived.length === 7);
  t.equal(arrived[6], 'plant/9/state live 1', 'the subscription itself is there');
  await back.subscribeAsync('plant/+/name');
  await until('8 messages arrive', () => arrived.length === 8);
  t.match(arrived[7], /^plant\/1\/name Pump 1 . retained$/);
  await until('0 queued messages', () => second.sessions.counts().queuedMessages === 0);
  await back.unsubscribeAsync('plant/+/state');
  await back.endAsync();
  await other.endAsync();
  await second.stop();

  const third = await life(file);
  t.match(
    third.sessions.counts(),
    { sessions: 1, retained: 1, queuedMessages: 0 },
    'what was acknowledged stays away',
  );
  const again = await third.connect('display');
  const now = inbox(again);
  const device3 = await third.connect('pump-1', { clean: true });
  await device3.publishAsync('plant/1/state', 'not wanted any more', { qos: 1 });
  await device3.publishAsync('plant/1/cmd', 'wanted', { qos: 2 });
  await until('one is there', () => now.length === 1);
  t.same(now, ['plant/1/cmd wanted 2']);
  await again.endAsync();
  await device3.endAsync();
  const clean = await third.connect('display', { clean: true });
  await clean.endAsync();
  t.match(third.sessions.counts(), { sessions: 0 }, 'a clean session ends the old one');
  await third.stop();
});

t.test(
  'bounds: sessions, messages for one client, retained messages; what is away too long is forgotten',
  async (t) => {
    const file = bufferFile(testDir(t));
    const limits = { maxSessions: 2, maxQueuedMessages: 3, maxRetainedMessages: 1, expireAfterMs: 0 };
    const broker = await life(file, limits);
    const [a, b] = [await broker.connect('a'), await broker.connect('b')];
    await t.rejects(broker.connect('c'), { code: 3 });
    await (await broker.connect('c', { clean: true })).endAsync();
    await a.subscribeAsync('#', { qos: 1 });
    await a.endAsync();
    for (let i = 1; i <= 10; i++) await b.publishAsync('x', String(i), { qos: 1 });
    await until('dropped: queue-full', () => (broker.sessions.dropped().get('queue-full') ?? 0) === 7);
    t.match(broker.sessions.counts(), { sessions: 2, queuedMessages: 3 });
    await b.publishAsync('r/1', 'kept', { qos: 1, retain: true });
    await b.publishAsync('r/2', 'over', { qos: 1, retain: true });
    await until('dropped: retained-full', () => broker.sessions.dropped().has('retained-full'));
    t.match(broker.sessions.counts(), { retained: 1 });
    await until('the broker ends the connection of a', () => !a.connected);
    await broker.sessions.expire();
    t.match(broker.sessions.counts(), { sessions: 1, queuedMessages: 0 }, 'who is connected is not away');
    await b.endAsync();
    await broker.stop();
    const after = await life(file, limits);
    t.match(after.sessions.counts(), { sessions: 0, queuedMessages: 0, retained: 1 });
    await after.stop();
  },
);

t.test('a client that is behind by a full queue keeps its connection, and gets what comes now', async (t) => {
  const broker = await life(bufferFile(testDir(t)), { maxQueuedMessages: 3 });
  const display = await broker.connect('display');
  await display.subscribeAsync('plant/#', { qos: 2 });
  await display.endAsync();
  const device = await broker.connect('pump-1', { clean: true });
  for (const text of ['1', '2', '3', 'dropped']) await device.publishAsync('plant/x', text, { qos: 1 });
  const ended: string[] = [];
  // Acknowledges nothing yet: its messages stay in the queue.
  const held: Array<() => void> = [];
  const back = connect(`mqtt://127.0.0.1:${broker.port}`, {
    clientId: 'display',
    clean: false,
    protocolVersion: 4,
    reconnectPeriod: 0,
  });
  back.handleMessage = (_packet, done) => void held.push(done);
  back.on('close', () => ended.push('closed'));
  const arrived = inbox(back);
  await until('a publish reaches the intake', () => held.length > 0);
  for (const text of ['now 1', 'now 2']) await device.publishAsync('plant/x', text, { qos: 1 });
  await until('dropped: queue-full', () => (broker.sessions.dropped().get('queue-full') ?? 0) === 3);
  await until('all arrive', () => {
    for (const done of held.splice(0)) done();
    return ['1', '2', '3', 'now 1', 'now 2'].every((text) =>
      arrived.some((one) => one.includes(` ${text} `)),
    );
  });
  t.same(ended, []);
  await back.endAsync(true);
  await device.endAsync();
  await broker.stop();
});

t.test(
  'QoS 2: a PUBREL that a reader has not answered is sent again after a restart, and no message',
  async (t) => {
    const file = bufferFile(testDir(t));
    const first = await life(file);
    const reader = await RawClient.open(first.port);
    reader.send(connectPacket('reader', false));
    await until('reader is answered', () => reader.received === CONNACK_OK);
    reader.send(Uint8Array.from([0x82, 6, 0, 1, 0, 1, '#'.charCodeAt(0), 2]));
    await until('reader is answered', () => reader.received.endsWith('9003000102'));
    const subscribed = reader.received.length;
    const device = await first.connect('device');
    await device.publishAsync('t', 'x', { qos: 2 });
    await device.endAsync();
    // PUBLISH of QoS 2, six bytes: topic "t", packet id, "x".
    await until('reader is answered', () => reader.received.length > subscribed);
    const [, id = ''] = /^3406000174(....)78$/.exec(reader.received.slice(subscribed)) ?? [];
    t.equal(id.length, 4);
    reader.send(Buffer.from(`5002${id}`, 'hex'));
    await until('reader is answered', () => reader.received.endsWith(`6202${id}`));
    await first.stop();

    const second = await life(file);
    const again = await RawClient.open(second.port);
    again.send(connectPacket('reader', false));
    await until('again is answered', () => again.received.length > CONNACK_OK.length);
    await again.roundTrip();
    t.equal(again.received, `20020100${`6202${id}`}`, 'session present, PUBREL, nothing else');
    again.send(Buffer.from(`7002${id}`, 'hex'));
    await until('0 queued messages', () => second.sessions.counts().queuedMessages === 0);
    again.close();
    await second.stop();
    const third = await life(file);
    t.match(third.sessions.counts(), { sessions: 1, queuedMessages: 0 });
    await third.stop();
  },
);

t.test('a topic on the disk keeps a U+FEFF at its start', async (t) => {
  const packet = { cmd: 'publish', topic: '\ufeffplant', payload: '\ufeffx', qos: 1, clientId: '\ufeffpump' };
  t.match(readPacket(encodeItem(writtenPacket(packet))), { ...packet, payload: Buffer.from('\ufeffx') });
});

t.test('another owner under a client id inherits no packet id of QoS 2', async (t) => {
  const { port, sessions, taken, stop } = await life(bufferFile(testDir(t)));
  t.teardown(stop);
  const before = await RawClient.open(port);
  before.send(connectPacket('pump', false));
  await until('before is answered', () => before.received === CONNACK_OK);
  before.send(publishPacket('t', 'x', { qos: 2, messageId: 7 }));
  await until('PUBREC', () => before.received.endsWith('50020007'));
  before.close();
  t.type(sessions.incomingDigest('pump', 7), 'string');
  await sessions.claim('pump', 'pump of today', true);
  t.equal(sessions.incomingDigest('pump', 7), undefined);
  t.equal(taken.length, 1);
});

t.test('session state that nobody can read is left out, and the rest is there (I9)', async (t) => {
  const file = bufferFile(testDir(t));
  const { store } = storeOn(file);
  await store.start();
  await store.writeSessions([
    { kind: 'retained', client: '', key: 'bad', value: Uint8Array.from([0xff, 1]) },
    { kind: 'retained', client: '', key: 'odd', value: encodeItem({ qos: 7 }) },
    {
      kind: 'retained',
      client: '',
      key: 'good',
      value: encodeItem({ topic: 'good', payload: Buffer.from('x') }),
    },
  ]);
  await store.stop();
  const after = await life(file);
  t.match(after.sessions.counts(), { retained: 1 });
  t.equal(after.sessions.dropped().get('unreadable'), 2);
  await after.stop();
});
