/**
 * The forwarder between a real store and publishers that answer as told: records that reach the providers,
 * and records that stay in the buffer.
 */

import t from 'tap';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, texts } from '../store/fixture.ts';
import { agentOn, drained, incompressible, seqsOf } from './fixture.ts';

t.test('each record reaches a provider once, whole, and then leaves the buffer (I3)', async (t) => {
  const agent = await agentOn(bufferFile(testDir(t)), { providers: ['a'], redundancy: 1, down: new Set() });
  await appendAll(agent.store, texts(100));
  await until('the buffer is drained', drained(agent));
  t.strictSame(
    seqsOf(agent, 'a'),
    Array.from({ length: 100 }, (_, i) => i + 1),
  );
  const [first] = agent.accepted[0]?.envelope.records ?? [];
  t.match(first, { device: 'dev-1', topic: 'plant/dev-1/temp', monoMs: 13 }, 'times are whole milliseconds');
  t.equal(Buffer.from(first?.payload ?? '').toString(), 'p1');
  await agent.stop();
});

t.test('two copies, one provider down: a row stays until another has it too (I3)', async (t) => {
  const down = new Set(['b']);
  const agent = await agentOn(bufferFile(testDir(t)), { providers: ['a', 'b'], redundancy: 2, down });
  await appendAll(agent.store, texts(10));
  await until('a has 10 records', () => seqsOf(agent, 'a').length === 10);
  t.equal((await agent.store.stats()).rows, 10);
  await appendAll(agent.store, texts(10, 11));
  await until('a has 20 records', () => seqsOf(agent, 'a').length === 20);
  down.clear();
  await until('the buffer is drained', drained(agent));
  t.strictSame(
    seqsOf(agent, 'a'),
    seqsOf(agent, 'b').toSorted((x, y) => x - y),
  );
  await agent.stop();
});

t.test('the end of an epoch with nothing left in it is announced once', async (t) => {
  const file = bufferFile(testDir(t));
  const options = { providers: ['a'], redundancy: 1, down: new Set<string>() };
  const before = await agentOn(file, options);
  const { epoch } = before.store;
  await appendAll(before.store, texts(3));
  await until('the buffer is drained', drained(before));
  await before.stop();

  const after = await agentOn(file, options);
  await until('the old epoch is forgotten', () => after.store.epochs().length === 1);
  await appendAll(after.store, texts(1));
  await until('a record of the new epoch is accepted', drained(after));
  const announced = after.accepted.map(({ envelope }) => envelope).filter((one) => one.epoch === epoch);
  t.match(announced, [{ records: [], sealedAt: 3 }]);
  t.equal(announced.length, 1);
  await after.stop();
});

t.test(
  'fewer copies after a restart: rows that have enough of them are freed without being sent',
  async (t) => {
    const file = bufferFile(testDir(t));
    const before = await agentOn(file, { providers: ['a', 'b'], redundancy: 2, down: new Set(['b']) });
    await appendAll(before.store, texts(3));
    await until('a has 3 records', () => seqsOf(before, 'a').length === 3);
    await before.stop();

    const after = await agentOn(file, { providers: ['a', 'b'], redundancy: 1, down: new Set() });
    t.equal((await after.store.stats()).rows, 3, 'they were kept');
    await until('the buffer is drained', drained(after));
    t.strictSame(seqsOf(after, 'a'), []);
    t.strictSame(seqsOf(after, 'b'), []);
    await after.stop();
  },
);

t.test(
  'after an outage: live records go first, the backlog drains beside them with a full window',
  async (t) => {
    const file = bufferFile(testDir(t));
    const before = await agentOn(file, { providers: ['a'], redundancy: 1, down: new Set(['a']) });
    const old = await appendAll(before.store, incompressible(3000));
    await before.stop();

    const agent = await agentOn(file, { providers: ['a'], redundancy: 1, down: new Set() });
    await until('something is accepted', () => agent.accepted.length > 0);
    await appendAll(agent.store, ['now']);
    await until('the buffer is drained', drained(agent));
    const order = agent.accepted.map(({ envelope }) => envelope);
    const at = order.findIndex(({ lane }) => lane === 'live');
    t.equal(order.filter(({ lane }) => lane === 'live').length, 1);
    t.equal(Buffer.from(order[at]?.records[0]?.payload ?? '').toString(), 'now');
    t.ok(at < order.length - 5, `the live record was number ${at} of ${order.length} envelopes`);
    t.strictSame(
      order
        .flatMap(({ lane, records }) => (lane === 'live' ? [] : records.map(({ seq }) => seq)))
        .toSorted((x, y) => x - y),
      old,
      'what waited out the outage says so, and none is missing',
    );
    t.ok(agent.mostInFlight() >= 4, `sent as acknowledgements come, up to ${agent.mostInFlight()} at once`);
    await agent.stop();
  },
);
