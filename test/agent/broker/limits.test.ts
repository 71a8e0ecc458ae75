import { once } from 'node:events';
import { connectAsync } from 'mqtt';
import t from 'tap';
import { WebSocket } from 'ws';
import type { Publish } from '../../../agent/broker/intake.ts';

import type { BrokerOptions } from '../../../agent/broker/options.ts';
import { until } from '../../until.ts';
import { heldIntake, startBroker } from './fixture.ts';
import { CONNACK_OK, connectPacket, loopTurns, publishPacket, RawClient } from './raw-client.ts';

const CONNACK_IDENTIFIER_REJECTED = '20020002';

function taking(): { taken: Publish[]; intake: BrokerOptions['intake'] } {
  const taken: Publish[] = [];
  const intake: BrokerOptions['intake'] = (publish, settled) => {
    taken.push(publish);
    settled(null);
  };
  return { taken, intake };
}

t.test(
  'an oversized packet is cut when its length is known, before it is taken into memory (I10)',
  async (t) => {
    const { taken, intake } = taking();
    const { broker, port } = await startBroker(intake, { limits: { maxPacketBytes: 10_000 } });

    const unknown = await RawClient.open(port);
    unknown.send(Uint8Array.from([0x10, 0xff, 0xff, 0xff, 0x7f])); // CONNECT of 256 MB
    await until('the broker ends the connection of unknown', () => unknown.ended);
    const longConnect = await RawClient.open(port);
    longConnect.send(connectPacket('x'.repeat(5000), true));
    await until('the broker ends the connection of longConnect', () => longConnect.ended);
    t.equal(longConnect.received, '', 'before CONNECT the limit is 4 KiB');

    const known = await RawClient.open(port);
    known.send(connectPacket('dev-1', true));
    known.send(publishPacket('a', 'x'.repeat(9000), { qos: 1, messageId: 1 }));
    await until('known is answered', () => known.received === `${CONNACK_OK}40020001`);
    known.send(publishPacket('a', 'x'.repeat(10_001), { qos: 1, messageId: 2 }));
    await until('the broker ends the connection of known', () => known.ended);
    t.equal(known.received, `${CONNACK_OK}40020001`);
    t.equal(taken.length, 1);
    t.match(broker.stats(), { refused: 3, refusals: { 'packet-too-large': 3 } });
    await broker.stop();
  },
);

t.test('an empty client id is refused with a session to keep, and named without one', async (t) => {
  const { taken, intake } = taking();
  const { broker, port } = await startBroker(intake);
  const kept = await RawClient.open(port);
  kept.send(connectPacket('', false));
  await until('the broker ends the connection of kept', () => kept.ended);
  t.equal(kept.received, CONNACK_IDENTIFIER_REJECTED, '[MQTT-3.1.3-8]');
  const nul = await RawClient.open(port);
  nul.send(connectPacket('dev\0', true));
  await until('the broker ends the connection of nul', () => nul.ended);
  t.equal(nul.received, '', 'U+0000 [MQTT-1.5.3-2]');
  const clean = await RawClient.open(port);
  clean.send(connectPacket('', true));
  clean.send(publishPacket('a', 'x'));
  await until('a publish is recorded', () => taken.length === 1);
  t.match(taken[0]?.device, /^.{10,}$/);
  t.match(broker.stats(), { refusals: { 'client-id': 1, 'malformed-packet': 1 } });
  clean.close();
  await broker.stop();
});

t.test('what is no topic ends the connection; what is the broker’s own goes nowhere', async (t) => {
  const { taken, intake } = taking();
  const { broker, port } = await startBroker(intake);
  const client = await RawClient.open(port);
  client.send(connectPacket('dev-1', true));
  await until('client is answered', () => client.received === CONNACK_OK);
  client.send(publishPacket('a\0b', 'x', { qos: 1 }));
  await until('the broker ends the connection', () => client.ended);
  t.equal(client.received, CONNACK_OK);
  const other = await RawClient.open(port);
  other.send(connectPacket('dev-2', true));
  other.send(publishPacket('$SYS/broker/uptime', 'x', { qos: 1, messageId: 1 }));
  other.send(publishPacket('$share/a', 'x', { qos: 1, messageId: 2 }));
  await until('other is answered', () => other.received === `${CONNACK_OK}4002000140020002`);
  t.same(taken, []);
  t.match(broker.stats(), { refusals: { 'reserved-topic': 2, 'malformed-packet': 1 } });
  other.close();
  await broker.stop();
});

t.test('connections are bounded over all listeners, and one that never says CONNECT is ended', async (t) => {
  const { intake } = taking();
  const { broker, port } = await startBroker(intake, {
    listeners: [
      { type: 'tcp', host: '127.0.0.1', port: 0 },
      { type: 'ws', host: '127.0.0.1', port: 0 },
    ],
    limits: { maxConnections: 2, connectTimeoutMs: 300 },
  });
  const webSocketPort = broker.addresses()[1]?.port;
  const first = await RawClient.open(port);
  first.send(connectPacket('dev-1', true));
  const idle = await RawClient.open(port);
  await until('2 connections', () => broker.stats().connections === 2);
  const overWebSocket = new WebSocket(`ws://127.0.0.1:${webSocketPort}`, 'mqtt');
  await once(overWebSocket, 'close');
  t.match(broker.stats(), { connections: 2, refusals: { 'connection-limit': 1 } });
  await until('the broker ends the connection of idle', () => idle.ended);
  await until('1 connections', () => broker.stats().connections === 1);
  t.notOk(first.ended, 'a client that connected stays');
  first.close();
  await broker.stop();
});

t.test('takes publishes over WebSocket, with and without the durable word', async (t) => {
  const { taken, intake } = taking();
  const { broker, port } = await startBroker(intake, {
    listeners: [{ type: 'ws', host: '127.0.0.1', port: 0 }],
  });
  const client = await connectAsync(`ws://127.0.0.1:${port}`, { clientId: 'web-1', protocolVersion: 4 });
  await client.publishAsync('a/b', 'zero');
  await client.publishAsync('a/b', 'x'.repeat(200_000), { qos: 1 });
  await client.publishAsync('a/b', 'two', { qos: 2 });
  t.match(
    taken.map(({ device, qos, payload }) => [device, qos, payload.byteLength]),
    [
      ['web-1', 0, 4],
      ['web-1', 1, 200_000],
      ['web-1', 2, 3],
    ],
  );
  await client.endAsync();

  const plain = await fetch(`http://127.0.0.1:${port}/`);
  t.equal(plain.status, 426);
  const text = new WebSocket(`ws://127.0.0.1:${port}`, 'mqtt');
  await once(text, 'open');
  text.send('a text frame');
  await once(text, 'close');
  t.pass('[MQTT-6.0.0-1]');
  await broker.stop();
});

t.test(
  'topics that are too long or too deep, too many subscriptions, and the broker’s own topics',
  async (t) => {
    const { taken, intake } = taking();
    const limits = { maxSubscriptions: 2, maxTopicBytes: 40, maxTopicLevels: 4 };
    const { broker, port } = await startBroker(intake, { limits });
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4 });
    const qosOf = async (topic: string): Promise<number | undefined> => {
      const granted = await client.subscribeAsync(topic, { qos: 1 }).catch(() => []);
      return granted[0]?.qos;
    };
    t.equal(await qosOf('a/#'), 1);
    t.not(await qosOf('a/b/c/d/e'), 1, 'five levels');
    t.not(await qosOf('é'.repeat(21)), 1, '42 bytes');
    t.not(await qosOf('$SYS/#'), 1);
    t.equal(await qosOf('b/#'), 1);
    t.not(await qosOf('c/#'), 1, 'the third');
    await client.publishAsync('a/b/c/d', 'x', { qos: 1 });
    t.equal(taken.length, 1);
    const ended = new Promise<void>((resolve) => client.once('close', () => resolve()));
    client.publish('a/b/c/d/e', 'x', { qos: 1 });
    await ended;
    await client.endAsync(true);
    t.equal(taken.length, 1);
    t.match(broker.stats().refusals, { 'topic-limit': 3, 'subscription-limit': 1, 'reserved-topic': 1 });
    await broker.stop();
  },
);

t.test('an MQTT 3.1 client is served like one of 3.1.1, but for the length of its client id', async (t) => {
  const { broker, port } = await startBroker(taking().intake);
  const connecting = (clientId: string) =>
    connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, protocolId: 'MQIsdp', protocolVersion: 3 });
  const client = await connecting('x'.repeat(23));
  await client.publishAsync('a', 'x', { qos: 1 });
  t.match(broker.stats(), { connections: 1, published: 1 });
  await client.endAsync();
  await t.rejects(connecting('x'.repeat(24)), { code: 2 });
  await broker.stop();
});

t.test('an MQTT 5 client is told to fall back: return code 1, then the end [MQTT-3.1.2-2]', async (t) => {
  const { broker, port } = await startBroker(taking().intake);
  const client = await RawClient.open(port);
  client.send(Uint8Array.from([0x10, 14, 0, 4, ...Buffer.from('MQTT'), 5, 2, 0, 60, 0, 0, 1, 0x61]));
  await until('the broker ends the connection', () => client.ended);
  t.equal(client.received, '20020001');
  client.close();
  await broker.stop();
});

t.test('while the disk takes nothing a client is read no further than to a bound (I10)', async (t) => {
  const { calls, intake } = heldIntake();
  const { broker, port } = await startBroker(intake);
  const sent = 1500;
  const small = await RawClient.open(port);
  small.send(connectPacket('small', true));
  await until('small is answered', () => small.received === CONNACK_OK);
  // One by one: each packet is an arrival of its own.
  for (let i = 0; i < sent; i++) {
    small.send(publishPacket('a', `${i}`));
    await new Promise(setImmediate);
  }
  await until('900 publishes reach the intake', () => calls.length >= 900);
  await loopTurns(port);
  const read = calls.length;
  t.ok(read < 1300, `${read} of ${sent} are read`);

  const large = await RawClient.open(port);
  large.send(connectPacket('large', true));
  await until('large is answered', () => large.received === CONNACK_OK);
  const packet = publishPacket('b', 'x'.repeat(100_000));
  for (let i = 0; i < 50; i++) large.send(packet);
  await until('read + 10 publishes reach the intake', () => calls.length >= read + 10);
  await loopTurns(port);
  t.ok(calls.length < read + 15, `${calls.length - read} of 50 times 100 kB`);

  let done = 0;
  while (done < sent + 50) {
    await until('more publishes reach the intake', () => calls.length > done);
    for (; done < calls.length; done++) calls[done]?.commit();
  }
  const ofSmall = calls.filter(({ device }) => device === 'small');
  t.same(
    ofSmall.map(({ payload }) => Buffer.from(payload).toString()),
    Array.from({ length: sent }, (_, i) => `${i}`),
    'nothing is lost, and the order stays',
  );
  small.close();
  large.close();
  await broker.stop();
});
