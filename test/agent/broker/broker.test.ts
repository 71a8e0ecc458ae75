import t from 'tap';
import { createLogger } from '../../../shared/log.ts';
import { until } from '../../until.ts';
import { heldIntake, startBroker } from './fixture.ts';
import {
  CONNACK_OK,
  connectPacket,
  loopTurns,
  publishPacket,
  pubrelPacket,
  RawClient,
} from './raw-client.ts';

async function connected(port: number, id = 'dev-1', clean = true): Promise<RawClient> {
  const client = await RawClient.open(port);
  client.send(connectPacket(id, clean));
  await until('client is answered', () => client.received === CONNACK_OK);
  return client;
}

t.test('QoS 1: no PUBACK before the commit, and right after it (I1)', async (t) => {
  const { calls, intake } = heldIntake();
  const { broker, port } = await startBroker(intake);
  const client = await connected(port);
  client.send(publishPacket('a/b', 'one', { qos: 1, messageId: 7 }));
  client.send(publishPacket('a/b', 'two', { qos: 1, messageId: 8, dup: true }));
  await until('2 publishes reach the intake', () => calls.length === 2);
  t.match(calls, [
    { device: 'dev-1', topic: 'a/b', qos: 1, retransmitted: false },
    { device: 'dev-1', topic: 'a/b', qos: 1, retransmitted: true },
  ]);
  t.equal(Buffer.from(calls[0]?.payload ?? []).toString(), 'one');
  await loopTurns(port);
  t.equal(client.received, CONNACK_OK, 'the commit is under way: silence');
  calls[0]?.commit();
  await until('client is answered', () => client.received.length > CONNACK_OK.length);
  t.equal(client.received, `${CONNACK_OK}40020007`);
  calls[1]?.commit();
  await until('client is answered', () => client.received === `${CONNACK_OK}4002000740020008`);
  t.match(broker.stats(), { connections: 1, published: 2, refused: 0 });
  client.close();
  await broker.stop();
});

t.test('a failed commit ends the connection without PUBACK; QoS 0 keeps it [MQTT-4.8.0-2]', async (t) => {
  const lines: Array<Record<string, unknown>> = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(JSON.parse(line)) });
  const { calls, intake } = heldIntake();
  const { broker, port } = await startBroker(intake, { log });
  const client = await connected(port);
  client.send(publishPacket('a/b', 'zero'));
  await until('a publish reaches the intake', () => calls.length === 1);
  calls[0]?.fail();
  client.send(publishPacket('a/b', 'one', { qos: 1 }));
  await until('2 publishes reach the intake', () => calls.length === 2);
  t.notOk(client.ended, 'QoS 0 expects no acknowledgement');
  calls[1]?.fail();
  await until('the broker ends the connection', () => client.ended);
  t.equal(client.received, CONNACK_OK);

  const again = await connected(port);
  again.send(publishPacket('a/b', 'one', { qos: 1, dup: true }));
  await until('3 publishes reach the intake', () => calls.length === 3);
  t.ok(calls[2]?.retransmitted);
  calls[2]?.commit();
  await until('again is answered', () => again.received === `${CONNACK_OK}40020001`);
  t.match(broker.stats(), { published: 1, refused: 2, refusals: { 'intake-failed': 2 } });
  t.match(
    lines.filter(({ event }) => event === 'broker.refused'),
    [{ reason: 'intake-failed', device: 'dev-1', error: 'the disk failed', count: 1 }],
    'the second within ten seconds is counted, not logged (I10)',
  );
  again.close();
  await broker.stop();
});

t.test('QoS 2: one record, PUBREC after the commit, also for retransmissions', async (t) => {
  const { calls, intake } = heldIntake();
  const { broker, port } = await startBroker(intake);
  const first = await connected(port, 'dev-2', false);
  first.send(publishPacket('a', 'x', { qos: 2, messageId: 5 }));
  await until('a publish reaches the intake', () => calls.length === 1);
  first.close();

  const second = await RawClient.open(port);
  second.send(connectPacket('dev-2', false));
  await until('second is answered', () => second.received.length === CONNACK_OK.length);
  const greeting = second.received;
  second.send(publishPacket('a', 'x', { qos: 2, messageId: 5, dup: true }));
  await loopTurns(port);
  t.equal(calls.length, 1, 'it waits for the commit that is under way');
  t.equal(second.received, greeting, 'and is not acknowledged before it (I1)');
  calls[0]?.commit();
  await until('second is answered', () => second.received === `${greeting}50020005`);

  second.send(publishPacket('a', 'x', { qos: 2, messageId: 5, dup: true }));
  await until('second is answered', () => second.received === `${greeting}5002000550020005`);
  t.equal(calls.length, 1, 'a later one is known by its packet id');
  second.send(pubrelPacket(5));
  await until('second is answered', () => second.received.endsWith('70020005'));
  second.send(publishPacket('a', 'y', { qos: 2, messageId: 5 }));
  await until('2 publishes reach the intake', () => calls.length === 2);
  calls[1]?.commit();
  await until('second is answered', () => second.received.endsWith('7002000550020005'));
  t.equal(broker.stats().published, 2, 'after PUBREL the packet id is a new publish');
  second.close();
  await broker.stop();
});

t.test(
  'QoS 2: a failed commit leaves nothing behind that would acknowledge the retransmission',
  async (t) => {
    const { calls, intake } = heldIntake();
    const { broker, port } = await startBroker(intake);
    const first = await connected(port, 'dev-3', false);
    first.send(publishPacket('a', 'x', { qos: 2, messageId: 9 }));
    await until('a publish reaches the intake', () => calls.length === 1);
    calls[0]?.fail();
    await until('the broker ends the connection of first', () => first.ended);
    t.equal(first.received, CONNACK_OK);
    const second = await RawClient.open(port);
    second.send(connectPacket('dev-3', false));
    second.send(publishPacket('a', 'x', { qos: 2, messageId: 9, dup: true }));
    await until('2 publishes reach the intake', () => calls.length === 2);
    t.notOk(second.received.includes('50020009'));
    calls[1]?.commit();
    await until('second is answered', () => second.received.endsWith('50020009'));
    second.close();
    await broker.stop();
  },
);

t.test('two of the same QoS 2 packet in one read are one record', async (t) => {
  const { calls, intake } = heldIntake();
  const { broker, port } = await startBroker(intake);
  const client = await connected(port);
  const publish = publishPacket('a', 'x', { qos: 2, messageId: 3 });
  client.send(Buffer.concat([publish, publish]));
  await until('a publish reaches the intake', () => calls.length === 1);
  calls[0]?.commit();
  await until('client is answered', () => client.received === `${CONNACK_OK}5002000350020003`);
  t.equal(calls.length, 1);
  client.close();
  await broker.stop();
});

t.test('a clean session that takes over a client id does not inherit its packet ids', async (t) => {
  const { calls, intake } = heldIntake();
  const { broker, port } = await startBroker(intake);
  const first = await connected(port, 'dev-4', true);
  first.send(publishPacket('a', 'old', { qos: 2, messageId: 1 }));
  await until('a publish reaches the intake', () => calls.length === 1);
  const second = await connected(port, 'dev-4', true);
  second.send(publishPacket('a', 'new', { qos: 2, messageId: 1 }));
  await until('2 publishes reach the intake', () => calls.length === 2);
  t.same(
    calls.map(({ payload }) => Buffer.from(payload).toString()),
    ['old', 'new'],
  );
  for (const call of calls) call.commit();
  await until('second is answered', () => second.received.endsWith('50020001'));
  second.close();
  await broker.stop();
});

t.test('a will is taken in when the device is lost, not when it says goodbye', async (t) => {
  const { calls, intake } = heldIntake();
  const { broker, port } = await startBroker(intake);
  const open = async (id: string): Promise<RawClient> => {
    const client = await RawClient.open(port);
    const will = Buffer.from([0, 4, ...Buffer.from('gone'), 0, 3, ...Buffer.from(id)]);
    const body = [
      0,
      4,
      ...Buffer.from('MQTT'),
      4,
      2 | 4 | 8,
      0,
      60,
      0,
      id.length,
      ...Buffer.from(id),
      ...will,
    ];
    client.send(Uint8Array.from([0x10, body.length, ...body]));
    await until('client is answered', () => client.received === CONNACK_OK);
    return client;
  };
  const polite = await open('ok1');
  polite.send(Uint8Array.from([0xe0, 0]));
  await until('0 connections', () => broker.stats().connections === 0);
  const lost = await open('bad');
  lost.close();
  await until('a publish reaches the intake', () => calls.length === 1);
  t.match(calls, [{ device: 'bad', topic: 'gone', qos: 1, retransmitted: false }]);
  calls[0]?.commit();
  await until('1 recorded', () => broker.stats().published === 1);
  await broker.stop();
});

t.test('stop waits for the intake that is under way', async (t) => {
  const { calls, intake } = heldIntake();
  const { broker, port } = await startBroker(intake);
  const client = await connected(port);
  client.send(publishPacket('a', 'x', { qos: 1 }));
  await until('a publish reaches the intake', () => calls.length === 1);
  let stopped = false;
  const stopping = broker.stop().then(() => {
    stopped = true;
  });
  await until('the broker ends the connection', () => client.ended);
  await until('0 connections', () => broker.stats().connections === 0);
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  t.notOk(stopped);
  calls[0]?.commit();
  await stopping;
  t.same(broker.addresses(), []);
  await broker.stop();
});
