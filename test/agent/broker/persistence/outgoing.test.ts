/** Messages queued for clients: packets are matched in any order of the answers, and the queue is bounded. */
import type { AedesPublishPacket } from 'aedes';
import t from 'tap';
import { OutgoingQueues, type QueueChange } from '../../../../agent/broker/persistence/outgoing.ts';
import { sessionsOn } from '../fixture.ts';

const LIMITS = {
  maxQueuedMessages: 4,
  maxQueuedBytes: 1000,
  maxQueuedBytesPerDevice: 1e9,
  maxTotalQueuedBytes: 1000,
};

function message(brokerCounter: number, payload: Buffer | string = `m${brokerCounter}`) {
  return { cmd: 'publish', brokerId: 'b', brokerCounter, topic: 't', payload, qos: 2 as const };
}

function waiting(queues: OutgoingQueues, client: string): string[] {
  return [...queues.packetsFor(client)].map(
    ({ cmd, payload, messageId }) => `${cmd} ${payload ?? '-'} ${messageId ?? '-'}`,
  );
}

t.test('packets get their ids and leave in any order; a PUBREL takes the place of its message', async (t) => {
  const queues = new OutgoingQueues(LIMITS, () => undefined);
  for (const counter of [1, 2, 3, 4]) queues.enqueue(['a'], message(counter));
  for (const counter of [3, 1, 4, 2])
    t.equal(queues.update('a', { ...message(counter), messageId: 10 + counter }), 'changed');
  t.same(waiting(queues, 'a'), ['publish m1 11', 'publish m2 12', 'publish m3 13', 'publish m4 14']);
  t.equal(queues.update('a', { ...message(1), messageId: 11 }), 'repeated');
  t.equal(queues.update('a', { cmd: 'pubrel', messageId: 13 }), 'changed');
  t.match(queues.remove('a', 11), { payload: 'm1' });
  t.match(queues.remove('a', 14), { payload: 'm4' });
  t.same(waiting(queues, 'a'), ['publish m2 12', 'pubrel - 13']);
  t.equal(queues.bytes, 't'.length + 'm2'.length);
  t.match(queues.remove('a', 12), { payload: 'm2' });
  t.match(queues.remove('a', 13), { cmd: 'pubrel', messageId: 13 });
  t.equal(queues.remove('a', 13), undefined);
  t.equal(queues.update('a', { ...message(9), messageId: 1 }), 'none');
  t.match({ messages: queues.messages, bytes: queues.bytes }, { messages: 0, bytes: 0 });
});

t.test(
  'one message for many clients: each has its own packet and its own id, full queues are told',
  async (t) => {
    const changes: QueueChange[] = [];
    const queues = new OutgoingQueues(LIMITS, (change) => changes.push(change));
    for (const counter of [1, 2, 3, 4]) queues.enqueue(['full'], message(counter));
    t.same(queues.enqueue(['a', 'full', 'b'], message(5, Buffer.from([0, 255, 7]))), ['full']);
    queues.update('a', { ...message(5), messageId: 1 });
    const [[a], [b]] = [[...queues.packetsFor('a')], [...queues.packetsFor('b')]];
    t.match([a?.messageId, b?.messageId], [1, undefined]);
    t.same(
      [a?.payload, b?.payload],
      [Buffer.from([0, 255, 7]), Buffer.from([0, 255, 7])],
      'bytes stay bytes',
    );
    t.not(a?.payload, b?.payload);
    const [name] = [...queues.names()].filter(({ client }) => client === 'b');
    t.match(queues.packetAt('b', name?.order ?? 0), { brokerCounter: 5 });
    t.equal(queues.packetAt('b', (name?.order ?? 0) + 1), undefined);
    queues.forget('full');
    t.equal(queues.messages, 2);
    t.equal(changes.filter(({ kind }) => kind === 'delete').length, 4);
  },
);

t.test('a retained message keeps nothing but itself of the block that it was read into', async (t) => {
  const sessions = sessionsOn();
  const block = Buffer.alloc(65_536, 'x');
  const packet = { cmd: 'publish', topic: 't', payload: block.subarray(100, 124), qos: 1, retain: true };
  await sessions.storeRetained(packet as unknown as AedesPublishPacket);
  const kept: Array<{ payload: Buffer }> = await sessions.createRetainedStream('t').toArray();
  t.equal(kept[0]?.payload.toString(), 'x'.repeat(24));
  t.equal(kept[0]?.payload.buffer.byteLength, 24);
});

t.test('whatever a topic and a payload are made of comes back, and so does where it is from', async (t) => {
  const queues = new OutgoingQueues({ ...LIMITS, maxQueuedMessages: 100 }, () => undefined);
  const sent = [
    {
      cmd: 'publish',
      topic: 'a;1;ü/温度',
      payload: Buffer.from(';0;\u0000ÿ'),
      qos: 1 as const,
      retain: true,
    },
    { cmd: 'publish', brokerId: 'b', brokerCounter: 2 ** 40, topic: 't', payload: '温;', dup: true },
    { cmd: 'publish', brokerId: 'an earlier one', brokerCounter: 0, topic: '', payload: Buffer.alloc(0) },
  ];
  for (const packet of sent) queues.enqueue(['a'], packet);
  const back = [...queues.packetsFor('a')];
  t.match(back, sent);
  t.same(
    back.map(({ brokerId, brokerCounter, qos }) => [brokerId, brokerCounter, qos]),
    [
      [undefined, undefined, 1],
      ['b', 2 ** 40, 0],
      ['an earlier one', 0, 0],
    ],
  );
  t.equal(
    queues.update('a', { ...sent[1], cmd: 'publish', brokerId: 'c', messageId: 5 }),
    'none',
    'not of this broker',
  );
  t.equal(queues.update('a', { ...sent[2], cmd: 'publish', messageId: 7 }), 'changed');
  t.match(queues.remove('a', 7), { brokerId: 'an earlier one', messageId: 7 });
});
