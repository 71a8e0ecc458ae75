/** PUBACKs that leave together: their order, and a client that does not take them. */
import { Duplex } from 'node:stream';
import type { Client } from 'aedes';
import t from 'tap';
import { PubackBatcher } from '../../../../agent/broker/qos/puback-batcher.ts';
import { PublishUnderWay } from '../../../../agent/broker/qos/qos1-duplicates.ts';
import { until } from '../../../until.ts';
import { heldIntake, startBroker } from '../fixture.ts';
import { CONNACK_OK, connectPacket, publishPacket, RawClient } from '../raw-client.ts';

const PUBACK = (id: number): string => `4002${id.toString(16).padStart(4, '0')}`;

t.test('publishes with and without readers are acknowledged in the order of their arrival', async (t) => {
  const { calls, intake } = heldIntake();
  const { broker, port } = await startBroker(intake);
  t.teardown(() => broker.stop());
  const client = await RawClient.open(port);
  client.send(connectPacket('sensor', true));
  await until('client is answered', () => client.received.startsWith(CONNACK_OK));
  client.send(Buffer.from([0x82, 9, 0, 1, 0, 4, ...Buffer.from('loud'), 0]));
  await until('client is answered', () => client.received.endsWith('9003000100'));
  const before = client.received.length;
  const ids = Array.from({ length: 40 }, (_, i) => i + 1);
  const topicOf = (id: number): string => (id % 3 === 0 ? 'loud' : 'quiet');
  client.send(Buffer.concat(ids.map((id) => publishPacket(topicOf(id), 'x', { qos: 1, messageId: id }))));
  await until('ids.length publishes reach the intake', () => calls.length === ids.length);
  for (const call of calls) call.commit();
  await until('all are acknowledged', () => ids.every((id) => client.received.includes(PUBACK(id))));
  const acknowledged = (client.received.slice(before).match(/4002[0-9a-f]{4}/g) ?? []).filter((puback) =>
    ids.some((id) => PUBACK(id) === puback),
  );
  t.same(acknowledged, ids.map(PUBACK), '[MQTT-4.6.0-2]');
  client.close();
});

t.test('a client that does not take its acknowledgements is not read from until it does', async (t) => {
  const written: Buffer[] = [];
  let takes = (): void => undefined;
  const conn = new Duplex({
    writableHighWaterMark: 4,
    read: () => undefined,
    write: (chunk: Buffer, _, done) => {
      written.push(chunk);
      takes = done;
    },
  });
  const client = { id: 'slow', conn } as unknown as Client;
  const acknowledger = new PubackBatcher();
  const gone: number[] = [];
  for (const messageId of [1, 258]) {
    const packet = { cmd: 'publish', topic: 't', payload: '', qos: 1, dup: false, retain: false } as const;
    acknowledger.acknowledge(
      new PublishUnderWay(client, { ...packet }, messageId, () => gone.push(messageId)),
    );
  }
  t.same(written, [], 'together, at the end of the turn');
  await null;
  t.same(written, [Buffer.from([0x40, 2, 0, 1, 0x40, 2, 1, 2])]);
  t.same(gone, []);
  takes();
  await until('2 wills arrive', () => gone.length === 2);
  t.same(gone, [1, 258]);
  conn.destroy();
  const late = { cmd: 'publish', topic: 't', payload: '', qos: 1, dup: false, retain: false } as const;
  acknowledger.acknowledge(new PublishUnderWay(client, late, 3, () => gone.push(3)));
  await null;
  t.equal(written.length, 1, 'nothing is written to a connection that is over');
});
