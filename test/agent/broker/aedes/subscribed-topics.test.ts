/**
 * A publish without a subscriber on the gateway is recorded and not delivered; a subscriber misses nothing.
 */
import { connectAsync, type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { SubscribedTopics } from '../../../../agent/broker/aedes/subscribed-topics.ts';
import type { BrokerOptions } from '../../../../agent/broker/options.ts';
import { until } from '../../../until.ts';
import { sessionsOn, startBroker } from '../fixture.ts';
import { CONNACK_OK, connectPacket, publishPacket, RawClient } from '../raw-client.ts';

t.test('filters are matched as MQTT 3.1.1 section 4.7 says', async (t) => {
  const subscribedTopics = new SubscribedTopics();
  t.notOk(subscribedTopics.matches('a'), 'nobody yet');
  for (const filter of ['a/+/c', 'b/#', '+/x']) subscribedTopics.add(filter);
  for (const topic of ['a/b/c', 'a//c', 'b', 'b/1/2', '/x', 'q/x'])
    t.ok(subscribedTopics.matches(topic), topic);
  for (const topic of ['a/b', 'a/b/c/d', 'bb', 'x', 'constructor'])
    t.notOk(subscribedTopics.matches(topic), topic);
});

t.test('a filter counts until its last subscription is over', async (t) => {
  const subscribedTopics = new SubscribedTopics();
  subscribedTopics.add('a/#');
  subscribedTopics.add('a/#');
  subscribedTopics.remove('a/#');
  t.ok(subscribedTopics.matches('a/1'));
  subscribedTopics.remove('a/#');
  t.notOk(subscribedTopics.matches('a/1'));
  subscribedTopics.remove('a/#');
  subscribedTopics.add('a/#');
  t.ok(subscribedTopics.matches('a/1'), 'one removal too many is none owed');
});

/** A broker whose records are durable at once. */
async function started(
  t: Test,
): Promise<{ port: number; subscribedTopics: SubscribedTopics; taken: string[] }> {
  const taken: string[] = [];
  const intake: BrokerOptions['intake'] = ({ topic }, settled) => {
    taken.push(topic);
    setImmediate(settled, null);
  };
  const sessions = sessionsOn();
  const { broker, port } = await startBroker(intake, { sessions });
  t.teardown(() => broker.stop());
  return { port, subscribedTopics: sessions.subscribedTopics, taken };
}

function connect(port: number, clientId: string, clean = true): Promise<MqttClient> {
  return connectAsync(`mqtt://127.0.0.1:${port}`, {
    clientId,
    clean,
    protocolVersion: 4,
    reconnectPeriod: 0,
  });
}

t.test('a reader that comes, goes offline, comes back and unsubscribes', async (t) => {
  const { port, subscribedTopics, taken } = await started(t);
  const device = await connect(port, 'device');
  await device.publishAsync('plant/t', 'before', { qos: 1 });
  t.same(taken, ['plant/t'], 'recorded, though nobody listens');

  const arrived: string[] = [];
  const read = (client: MqttClient): void => {
    client.on('message', (_, payload) => arrived.push(payload.toString()));
  };
  const first = await connect(port, 'reader', false);
  read(first);
  await first.subscribeAsync('plant/#', { qos: 1 });
  await device.publishAsync('plant/t', 'here', { qos: 1 });
  await until('a message arrives', () => arrived.length === 1);

  await first.endAsync(true);
  await device.publishAsync('plant/t', 'away', { qos: 1 });
  const second = await connect(port, 'reader', false);
  read(second);
  await until('2 messages arrive', () => arrived.length === 2);
  t.same(arrived, ['here', 'away'], 'what came meanwhile waited in its session');

  await second.unsubscribeAsync('plant/#');
  t.notOk(subscribedTopics.matches('plant/t'));
  await device.publishAsync('plant/t', 'after', { qos: 1 });
  t.equal(taken.length, 4);
  await Promise.all([device, second].map((client) => client.endAsync(true)));
});

t.test('a reader with the same filter loses nothing when another unsubscribes twice at once', async (t) => {
  const { port, subscribedTopics } = await started(t);
  const stays = await connect(port, 'stays');
  const arrived: string[] = [];
  stays.on('message', (_, payload) => arrived.push(payload.toString()));
  await stays.subscribeAsync('plant/#', { qos: 1 });
  const goes = await RawClient.open(port);
  goes.send(connectPacket('goes', true));
  await until('goes is answered', () => goes.received.startsWith(CONNACK_OK));
  const unsubscribe = (id: number) => Buffer.from([0xa2, 11, 0, id, 0, 7, ...Buffer.from('plant/#')]);
  goes.send(Buffer.from([0x82, 12, 0, 1, 0, 7, ...Buffer.from('plant/#'), 1]));
  await until('goes is answered', () => goes.received.includes('90030001'));
  goes.send(Buffer.concat([unsubscribe(2), unsubscribe(3)]));
  await until('goes is answered', () => goes.received.includes('b0020003'));
  t.ok(subscribedTopics.matches('plant/t'));
  goes.send(publishPacket('plant/t', 'still', { qos: 1, messageId: 9 }));
  await until('a message arrives', () => arrived.length === 1);
  goes.close();
  await stays.endAsync(true);
});

t.test('retained for readers to come, and wills, go their way', async (t) => {
  const { port } = await started(t);
  const device = await connect(port, 'device');
  await device.publishAsync('plant/state', 'on', { qos: 1, retain: true });
  const reader = await connect(port, 'reader');
  const arrived: string[] = [];
  reader.on('message', (_, payload) => arrived.push(payload.toString()));
  await reader.subscribeAsync(['plant/state', 'plant/gone'], { qos: 1 });
  await until('a message arrives', () => arrived.length === 1);
  const mortal = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    clientId: 'mortal',
    protocolVersion: 4,
    reconnectPeriod: 0,
    will: { topic: 'plant/gone', payload: Buffer.from('dead'), qos: 1, retain: false },
  });
  mortal.stream.destroy();
  await until('2 messages arrive', () => arrived.length === 2);
  t.same(arrived, ['on', 'dead']);
  await Promise.all([device, reader].map((client) => client.endAsync(true)));
});
