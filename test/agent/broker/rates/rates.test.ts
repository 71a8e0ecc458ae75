/**
 * Clients that connect, publish or read too fast or too slowly, and topics that do not depend on the disk.
 */
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import type { BrokerOptions } from '../../../../agent/broker/options.ts';
import { PublishRate } from '../../../../agent/broker/rates/publish-rate.ts';
import { ConnectRate } from '../../../../shared/connect-rate.ts';
import { TokenBucket } from '../../../../shared/token-bucket.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { until } from '../../../until.ts';
import { heldIntake, startBroker } from '../fixture.ts';
import { CONNACK_OK, connectPacket, loopTurns, publishPacket, RawClient } from '../raw-client.ts';

t.test('a token bucket: a burst, then its rate, and debt that is paid by waiting', async (t) => {
  const bucket = new TokenBucket(100, 2, 0);
  t.equal(bucket.take(200, 0), 0);
  t.equal(bucket.take(50, 0), 500, 'fifty more are half a second');
  t.equal(bucket.take(10, 100), 500, 'in debt it still refills');
  t.equal(bucket.take(1, 10_000), 0);
  t.equal(bucket.take(200, 10_000), 10, 'never more than the burst was saved');
  const single = new TokenBucket(1, 1, 0);
  t.same(
    [single.tryTake(0), single.tryTake(0), single.tryTake(999), single.tryTake(1000)],
    [true, false, false, true],
  );
});

t.test('connections: one address cannot use up what is there for all', async (t) => {
  const clock = new ManualClock();
  const rate = new ConnectRate({ maxConnectRate: 10, maxConnectRatePerAddress: 2 }, clock);
  const taken = (address: string, tries: number): number =>
    Array.from({ length: tries }, () => rate.allows(address)).filter(Boolean).length;
  t.equal(taken('1.1.1.1', 1000), 8, 'four seconds’ worth');
  t.equal(taken('2.2.2.2', 10), 8);
  clock.advance(1000);
  t.equal(taken('1.1.1.1', 10), 2);
  const many = Array.from({ length: 100 }, (_, i) => rate.allows(`3.3.3.${i}`)).filter(Boolean).length;
  t.equal(many, 32, 'forty at once, sixteen taken, ten a second more, two of them taken');
});

t.test('over the connect rate a connection is ended before it says anything', async (t) => {
  const { intake } = heldIntake();
  const { broker, port } = await startBroker(intake, { limits: { maxConnectRatePerAddress: 1 } });
  t.teardown(() => broker.stop());
  const sockets = Array.from({ length: 10 }, () => connectSocket(port, '127.0.0.1'));
  for (const socket of sockets) socket.on('error', () => undefined);
  await until('refusals: connect-rate', () => broker.stats().refusals['connect-rate'] === 6);
  t.equal(broker.stats().connections, 4);
  for (const socket of sockets) socket.destroy();
});

t.test('so it is where WebSockets are taken, whatever the connection asks for', async (t) => {
  const { intake } = heldIntake();
  const { broker, port } = await startBroker(intake, {
    listeners: [{ type: 'ws', host: '127.0.0.1', port: 0 }],
    limits: { maxConnectRatePerAddress: 1 },
  });
  t.teardown(() => broker.stop());
  const sockets = Array.from({ length: 10 }, () => connectSocket(port, '127.0.0.1'));
  for (const socket of sockets) socket.on('error', () => undefined).resume();
  await until('refusals: connect-rate', () => broker.stats().refusals['connect-rate'] === 6);
  await until('the broker ends connections', () => sockets.filter(({ destroyed }) => destroyed).length === 6);
  for (const socket of sockets) socket.destroy();
});

/** An intake that commits at once, and the devices whose publishes it took. */
function quickIntake(): { taken: string[]; intake: BrokerOptions['intake'] } {
  const taken: string[] = [];
  return {
    taken,
    intake: ({ device }, settled) => {
      taken.push(device);
      setImmediate(settled, null);
    },
  };
}

function pubacksOf({ received }: RawClient): string[] {
  return received.slice(CONNACK_OK.length).match(/4002[0-9a-f]{4}/g) ?? [];
}

async function connected(port: number, name: string): Promise<RawClient> {
  const client = await RawClient.open(port);
  client.send(connectPacket(name, true));
  await until('client is answered', () => client.received.startsWith(CONNACK_OK));
  return client;
}

t.test('a client over its rate is slowed down, in order, and loses nothing; others are not', async (t) => {
  const clock = new ManualClock();
  const { taken, intake } = quickIntake();
  const { broker, port } = await startBroker(intake, { clock, limits: { maxPublishRate: 100 } });
  t.teardown(() => broker.stop());
  const fast = await connected(port, 'fast');
  const ids = Array.from({ length: 260 }, (_, i) => i + 1);
  fast.send(Buffer.concat(ids.map((messageId) => publishPacket('a', 'x', { qos: 1, messageId }))));
  await loopTurns(port);
  const slow = await connected(port, 'slow');
  slow.send(publishPacket('b', 'y', { qos: 1, messageId: 1 }));
  await until('a client within its rate is answered', () => slow.received.includes('40020001'));
  t.equal(taken.filter((device) => device === 'fast').length, 200, 'a burst of two seconds');
  clock.advance(300);
  t.equal(taken.filter((device) => device === 'fast').length, 230, 'then a hundred a second');
  clock.advance(300);
  await until('all are acknowledged', () => pubacksOf(fast).length === 260);
  t.same(
    pubacksOf(fast),
    ids.map((id) => `4002${id.toString(16).padStart(4, '0')}`),
  );
  t.same(broker.stats().refusals, {});
  fast.close();
  slow.close();
});

t.test('bytes count as well', async (t) => {
  const clock = new ManualClock();
  const { taken, intake } = quickIntake();
  const { broker, port } = await startBroker(intake, { clock, limits: { maxPublishBytesRate: 20_000 } });
  t.teardown(() => broker.stop());
  const client = await connected(port, 'large');
  for (let id = 1; id <= 5; id++)
    client.send(publishPacket('a', 'x'.repeat(10_000), { qos: 1, messageId: id }));
  await loopTurns(port);
  t.equal(taken.length, 3, 'forty kilobytes at once');
  clock.advance(510);
  t.equal(taken.length, 5, 'then twenty a second');
  client.close();
});

t.test('a client that stays over its rate for a minute is cut off', async (t) => {
  const clock = new ManualClock();
  const rate = new PublishRate({ maxPublishRate: 10, maxPublishBytesRate: 0 }, clock);
  const client = {} as Parameters<PublishRate['admit']>[0];
  const packet = { topic: 't', payload: 'x' };
  const admissions: string[] = [];
  let wentOn = 0;
  for (let i = 0; i < 130 && admissions.at(-1) !== 'cut-off'; i++) {
    for (let k = 0; k < 11; k++) {
      const admission = rate.admit(client, packet);
      admissions.push(admission);
      if (admission === 'wait') {
        rate.wait(client, () => {
          wentOn += 1;
        });
      }
    }
    clock.advance(1000);
  }
  t.same(admissions.slice(0, 20), Array(20).fill('now'));
  t.equal(admissions.at(-1), 'cut-off');
  const waited = admissions.filter((admission) => admission === 'wait').length;
  t.ok(wentOn > waited - 100, `${wentOn} of ${waited} that waited went on`);
});

async function stuckReader(port: number): Promise<Socket> {
  const socket = connectSocket(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(connectPacket('stuck', false));
  await once(socket, 'data');
  socket.write(Buffer.from([0x82, 6, 0, 1, 0, 1, '#'.charCodeAt(0), 0]));
  await once(socket, 'data');
  socket.pause();
  return socket;
}

t.test('a reader that is stuck stops nobody, and is cut off', async (t) => {
  const { taken, intake } = quickIntake();
  const { broker, port } = await startBroker(intake, { limits: { maxUnsentBytes: 200_000 } });
  t.teardown(() => broker.stop());
  const stuck = await stuckReader(port);
  t.teardown(() => stuck.destroy());
  const reader = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4 });
  let read = 0;
  reader.on('message', () => {
    read += 1;
  });
  await reader.subscribeAsync('#', { qos: 1 });
  const device = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4 });
  const payload = Buffer.alloc(20_000, 'x');
  const COUNT = 600;
  for (let i = 0; i < COUNT; i += 20) {
    await Promise.all(Array.from({ length: 20 }, () => device.publishAsync('plant/t', payload, { qos: 1 })));
  }
  t.equal(taken.length, COUNT, 'intake went on');
  await until('all are read', () => read === COUNT);
  await until('refusals: slow-consumer', () => broker.stats().refusals['slow-consumer'] === 1);
  t.equal(broker.stats().connections, 2);
  t.equal(broker.stats().refusals['slow-consumer'], 1, 'counted once');
  await Promise.all([reader, device].map((client) => client.endAsync(true)));
});

t.test(
  'a client that says nothing for one and a half of its keep alive is ended [MQTT-3.1.2-24]',
  async (t) => {
    const { intake } = heldIntake();
    const { broker, port } = await startBroker(intake);
    t.teardown(() => broker.stop());
    const client = await RawClient.open(port);
    const asksForOneSecond = connectPacket('quiet', true);
    asksForOneSecond[11] = 1;
    client.send(asksForOneSecond);
    await until('client is answered', () => client.received.startsWith(CONNACK_OK));
    await until('0 connections', () => broker.stats().connections === 0);
  },
);

async function localTraffic(t: Test, intake: BrokerOptions['intake']): Promise<{ port: number }> {
  const { broker, port } = await startBroker(intake, { localTopics: ['local/#'] });
  t.teardown(() => broker.stop());
  return { port };
}

t.test(
  'local topics are delivered and acknowledged, and never recorded, though the disk stands still',
  async (t) => {
    const { calls, intake } = heldIntake();
    const { port } = await localTraffic(t, intake);
    const reader = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4 });
    const arrived: string[] = [];
    reader.on('message', (topic) => arrived.push(topic));
    await reader.subscribeAsync('#', { qos: 1 });
    const device = await connected(port, 'device');
    device.send(
      Buffer.concat([
        publishPacket('local/door', 'open', { qos: 1, messageId: 1 }),
        publishPacket('local/door', 'shut', { qos: 2, messageId: 2 }),
      ]),
    );
    await until(
      'device is answered',
      () => device.received.includes('40020001') && device.received.includes('50020002'),
    );
    await until('2 messages arrive', () => arrived.length === 2);
    device.send(publishPacket('plant/t', '1', { qos: 1, messageId: 3 }));
    await until('a publish reaches the intake', () => calls.length === 1);
    device.send(publishPacket('local/door', 'open', { qos: 1, messageId: 4 }));
    await until('3 messages arrive', () => arrived.length === 3);
    t.same(arrived, Array(3).fill('local/door'));
    t.notMatch(device.received, '40020003', 'what is to be recorded waits for the disk (I1)');
    t.same(
      calls.map(({ topic }) => topic),
      ['plant/t'],
    );
    calls[0]?.commit();
    await until('device is answered', () => device.received.includes('40020003'));
    device.close();
    await reader.endAsync(true);
  },
);

t.test('the rates hold for local topics too, in order with the others', async (t) => {
  const clock = new ManualClock();
  const { taken, intake } = quickIntake();
  const { broker, port } = await startBroker(intake, {
    clock,
    localTopics: ['local/#'],
    limits: { maxPublishRate: 100 },
  });
  t.teardown(() => broker.stop());
  const fast = await connected(port, 'fast');
  const ids = Array.from({ length: 260 }, (_, i) => i + 1);
  fast.send(
    Buffer.concat(
      ids.map((messageId) =>
        publishPacket(messageId === 260 ? 'plant/t' : 'local/t', 'x', { qos: 1, messageId }),
      ),
    ),
  );
  await loopTurns(port);
  t.equal(pubacksOf(fast).length, 200, 'a burst of two seconds');
  clock.advance(590);
  t.equal(taken.length, 0, 'the recorded one waits behind the local ones');
  clock.advance(10);
  t.equal(taken.length, 1);
  await until('all are acknowledged', () => pubacksOf(fast).length === 260);
  t.same(
    pubacksOf(fast),
    ids.map((id) => `4002${id.toString(16).padStart(4, '0')}`),
  );
  fast.close();
});
