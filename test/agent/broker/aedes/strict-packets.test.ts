/** Packets on which MQTT 3.1.1 says that the server must close the connection, over a real socket. */
import t from 'tap';
import type { Publish } from '../../../../agent/broker/intake.ts';
import { until } from '../../../until.ts';
import { startBroker } from '../fixture.ts';
import { CONNACK_OK, connectPacket, publishPacket, RawClient } from '../raw-client.ts';

const taken: Publish[] = [];
const { broker, port } = await startBroker((publish, settled) => {
  taken.push(publish);
  settled(null);
});
t.teardown(() => broker.stop());

function text(bytes: string | Uint8Array): number[] {
  const content = Buffer.from(bytes);
  return [content.length >> 8, content.length & 0xff, ...content];
}

function packet(type: number, ...body: number[]): Uint8Array {
  return Uint8Array.from([type, body.length, ...body]);
}

function connect(level: number, flags: number, ...payload: number[]): Uint8Array {
  return packet(0x10, ...text('MQTT'), level, flags, 0, 60, ...payload);
}

const LONE_SURROGATE = Buffer.from('eda080', 'hex');
const OVERLONG = Buffer.from('c0af', 'hex');
const LATIN1 = Buffer.from('e9', 'hex');
const WILL = 0x06;

/** By clause, the bytes sent instead of a CONNECT; no answer is expected unless `answer` names one. */
const CONNECTS: ReadonlyArray<{ name: string; bytes: Uint8Array; answer?: string }> = [
  {
    name: 'client id with ill-formed UTF-8 [MQTT-1.5.3-1] [MQTT-3.1.3-4]',
    bytes: connect(4, 2, ...text(LATIN1)),
  },
  { name: 'client id with U+0000 [MQTT-1.5.3-2]', bytes: connect(4, 2, ...text('a\0b')) },
  {
    name: 'username with ill-formed UTF-8 [MQTT-3.1.3-11]',
    bytes: connect(4, 0x82, ...text('a'), ...text(OVERLONG)),
  },
  {
    name: 'will topic with ill-formed UTF-8 [MQTT-3.1.3-10]',
    bytes: connect(4, WILL, ...text('a'), ...text(LONE_SURROGATE), ...text('x')),
  },
  {
    name: 'password without username [MQTT-3.1.2-22]',
    bytes: connect(4, 0x42, ...text('a'), ...text('secret')),
  },
  {
    name: 'will of QoS 3 [MQTT-3.1.2-14]',
    bytes: connect(4, WILL | 0x18, ...text('a'), ...text('t'), ...text('x')),
  },
  { name: 'will QoS without a will [MQTT-3.1.2-13]', bytes: connect(4, 2 | 0x08, ...text('a')) },
  { name: 'will retain without a will [MQTT-3.1.2-15]', bytes: connect(4, 2 | 0x20, ...text('a')) },
  { name: 'reserved flag [MQTT-3.1.2-3]', bytes: connect(4, 3, ...text('a')) },
  {
    name: 'another protocol [MQTT-3.1.2-1]',
    bytes: packet(0x10, ...text('HTTP'), 4, 2, 0, 60, ...text('a')),
  },
  { name: 'a packet before CONNECT [MQTT-3.1.0-1]', bytes: publishPacket('a', 'x') },
  ...[0, 2, 6, 0x7f].map((level) => ({
    name: `protocol level ${level} [MQTT-3.1.2-2]`,
    bytes: connect(level, 2, ...text('a')),
    answer: '20020001',
  })),
  {
    name: 'protocol level 5 [MQTT-3.1.2-2]',
    bytes: connect(5, 2, 0, ...text('five')),
    answer: '20020001',
  },
];

for (const { name, bytes, answer = '' } of CONNECTS) {
  t.test(name, async (t) => {
    const client = await RawClient.open(port);
    client.send(bytes);
    await until('the broker ends the connection', () => client.ended);
    t.equal(client.received, answer);
  });
}

/** By clause, the bytes sent after CONNECT. */
const PACKETS: ReadonlyArray<{ name: string; bytes: Uint8Array }> = [
  ...[LATIN1, OVERLONG, LONE_SURROGATE].map((bytes) => ({
    name: `topic with ill-formed UTF-8 ${bytes.toString('hex')} [MQTT-1.5.3-1]`,
    bytes: packet(0x30, ...text(bytes), 0x78),
  })),
  { name: 'topic with U+0000 [MQTT-1.5.3-2]', bytes: packet(0x30, ...text('a\0'), 0x78) },
  { name: 'topic with a wildcard [MQTT-3.3.2-2]', bytes: packet(0x30, ...text('a/+'), 0x78) },
  { name: 'empty topic [MQTT-4.7.3-1]', bytes: packet(0x30, ...text(''), 0x78) },
  ...[1, 2].map((qos) => ({
    name: `PUBLISH of QoS ${qos} with packet id 0 [MQTT-2.3.1-1]`,
    bytes: packet(0x30 | (qos << 1), ...text('a'), 0, 0, 0x78),
  })),
  { name: 'PUBLISH of QoS 3 [MQTT-3.3.1-4]', bytes: packet(0x36, ...text('a'), 0, 1, 0x78) },
  { name: 'SUBSCRIBE with packet id 0 [MQTT-2.3.1-1]', bytes: packet(0x82, 0, 0, ...text('a'), 0) },
  { name: 'UNSUBSCRIBE with packet id 0 [MQTT-2.3.1-1]', bytes: packet(0xa2, 0, 0, ...text('a')) },
  ...['a+', 'a#', '+a', '#a', 'a/b#', 'a/#/b', '++', '##', ''].flatMap((filter) => [
    {
      name: `SUBSCRIBE to "${filter}" [MQTT-4.7.1-2] [MQTT-4.7.1-3]`,
      bytes: packet(0x82, 0, 1, ...text(filter), 0),
    },
    {
      name: `UNSUBSCRIBE from "${filter}" [MQTT-4.7.1-2] [MQTT-4.7.1-3]`,
      bytes: packet(0xa2, 0, 1, ...text(filter)),
    },
  ]),
  {
    name: 'filter with ill-formed UTF-8 [MQTT-3.8.3-1]',
    bytes: packet(0x82, 0, 1, ...text(LATIN1), 0),
  },
  {
    name: 'UNSUBSCRIBE with ill-formed UTF-8 [MQTT-3.10.3-1]',
    bytes: packet(0xa2, 0, 1, ...text(LATIN1)),
  },
  { name: 'SUBSCRIBE without a filter [MQTT-3.8.3-3]', bytes: packet(0x82, 0, 1) },
  { name: 'SUBSCRIBE with QoS 3 [MQTT-3.8.3-4]', bytes: packet(0x82, 0, 1, ...text('a'), 3) },
  { name: 'SUBSCRIBE with reserved bits [MQTT-3.8.3-4]', bytes: packet(0x82, 0, 1, ...text('a'), 4) },
  { name: 'UNSUBSCRIBE without a filter [MQTT-3.10.3-2]', bytes: packet(0xa2, 0, 1) },
  { name: 'SUBSCRIBE with flags 0 [MQTT-3.8.1-1]', bytes: packet(0x80, 0, 1, ...text('a'), 0) },
  { name: 'UNSUBSCRIBE with flags 0 [MQTT-3.10.1-1]', bytes: packet(0xa0, 0, 1, ...text('a')) },
  { name: 'PUBREL with flags 0 [MQTT-3.6.1-1]', bytes: packet(0x60, 0, 1) },
  { name: 'DISCONNECT with flags [MQTT-3.14.1-1]', bytes: packet(0xe1) },
  { name: 'PINGREQ with flags [MQTT-2.2.2-2]', bytes: packet(0xc1) },
  { name: 'packet type 0', bytes: packet(0x00) },
  { name: 'packet type 15', bytes: packet(0xf0) },
  { name: 'a packet of servers, CONNACK', bytes: packet(0x20, 0, 0) },
  { name: 'a remaining length of five bytes', bytes: Uint8Array.from([0x30, 0xff, 0xff, 0xff, 0xff, 1]) },
  { name: 'a second CONNECT [MQTT-3.1.0-2]', bytes: connectPacket('twice', true) },
];

for (const [index, { name, bytes }] of PACKETS.entries()) {
  t.test(name, async (t) => {
    const client = await RawClient.open(port);
    client.send(connectPacket(`dev-${index}`, true));
    await until('CONNACK', () => client.received === CONNACK_OK);
    client.send(bytes);
    await until('the broker ends the connection', () => client.ended);
    t.equal(client.received, CONNACK_OK, 'without an answer');
    t.strictSame(taken, []);
  });
}

t.test('refusals are counted', async (t) => {
  const { refusals } = broker.stats();
  t.equal(refusals['protocol-version'], 5);
  t.ok((refusals['malformed-packet'] ?? 0) > 30, JSON.stringify(refusals));
});

t.test('U+FEFF and U+FFFD are characters like others [MQTT-1.5.3-3]', async (t) => {
  const client = await RawClient.open(port);
  client.send(connectPacket('\ufeffdevice', true));
  await until('CONNACK', () => client.received === CONNACK_OK);
  const topics = ['\ufeffstart', 'start', '\ufeff', 'a/\ufffd/b', 'ä/€/😀'];
  for (const [i, topic] of topics.entries())
    client.send(publishPacket(topic, '\ufeffx', { qos: 1, messageId: i + 1 }));
  await until('all are recorded', () => taken.length === topics.length);
  t.strictSame(
    taken.map(({ device, topic, payload }) => [device, topic, Buffer.from(payload).toString('hex')]),
    topics.map((topic) => ['\ufeffdevice', topic, 'efbbbf78']),
  );
  client.close();
});
