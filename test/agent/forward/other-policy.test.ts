/** Another policy while records wait and envelopes are under way: copies, receipts and residency (I3, I4). */
import t from 'tap';
import { type Policy, policySchema } from '../../../shared/policy/policy.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, texts } from '../store/fixture.ts';
import { type Agent, agentOn, drained, seqsOf } from './fixture.ts';

function policy(telemetry: object, more: object = {}): Policy {
  return policySchema.parse({
    streams: { telemetry: { topics: ['#'], linger: '10ms', ...telemetry } },
    failover: { open_for: '100ms', open_max: '100ms' },
    ...more,
  });
}

/** As the agent's door has it. */
function take({ forwarder, routing }: Agent, next: Policy): void {
  forwarder.setPolicy(next);
  routing.dispatch({ kind: 'policy', policy: next });
}

t.test('fewer copies: rows that have them leave at once, the others are not sent again', async (t) => {
  const down = new Set(['b']);
  const agent = await agentOn(bufferFile(testDir(t)), { providers: ['a', 'b'], redundancy: 2, down });
  await appendAll(agent.store, texts(50));
  await until('one copy of each', () => seqsOf(agent, 'a').length === 50);
  t.equal((await agent.store.stats()).rows, 50, 'the other copy is owed');
  take(agent, policy({ redundancy: 1 }));
  await until('all are free', drained(agent));
  t.equal(seqsOf(agent, 'a').length, 50);
  await agent.stop();
});

t.test('more copies: rows that wait get them, also those of an envelope under way', async (t) => {
  const held = Promise.withResolvers<void>();
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a', 'b'],
    policy: { hedge: { enabled: false } },
    async answer() {
      await held.promise;
      return { kind: 'accepted' };
    },
  });
  await appendAll(agent.store, texts(10));
  await until('they are under way', () => agent.forwarder.streams()[0]?.inFlight === 10);
  take(agent, policy({ redundancy: 2 }));
  held.resolve();
  await until('all are free', drained(agent));
  const seqs = Array.from({ length: 10 }, (_, i) => i + 1);
  t.strictSame(
    [...new Set(seqsOf(agent, 'a'))].toSorted((x, y) => x - y),
    seqs,
  );
  t.strictSame(
    [...new Set(seqsOf(agent, 'b'))].toSorted((x, y) => x - y),
    seqs,
  );
  await agent.stop();
});

t.test('no receipt any more: rows, gaps and the end of an epoch that wait for one leave', async (t) => {
  const file = bufferFile(testDir(t));
  const before = await agentOn(file, { providers: ['a'], down: new Set(['a']) });
  await appendAll(before.store, texts(5));
  await before.stop();
  const agent = await agentOn(file, {
    providers: ['a'],
    receipts: true,
    stream: { until: 'receipt' },
  });
  await appendAll(agent.store, texts(20));
  await agent.store.giveUp(agent.store.epoch, 'telemetry', 1, 2, 'corruption');
  await until('all wait for a receipt', () => agent.forwarder.streams()[0]?.awaitingReceipt === 23);
  const isTold = (what: (envelope: Agent['accepted'][number]['envelope']) => boolean) => () =>
    agent.accepted.some(({ envelope }) => what(envelope));
  await until(
    'the gap is told',
    isTold(({ gaps }) => gaps.length > 0),
  );
  await until(
    'the end is told',
    isTold(({ sealedAt }) => sealedAt === 5),
  );
  t.equal((await agent.store.stats()).rows, 23);
  take(agent, policy({ until: 'cloud' }));
  await until('all are free', drained(agent));
  await until('the epoch before is over', () => agent.store.epochs().length === 1);
  t.match(agent.forwarder.streams(), [{ name: 'telemetry', awaitingReceipt: 0, pending: 0 }]);
  const [stream] = [...agent.forwarder.queued()];
  t.ok(
    stream?.queues.every(({ idle }) => idle),
    'nothing is to be confirmed',
  );
  await agent.stop();
});

t.test('a narrower zone holds for the next try of an envelope that is under way (I4)', async (t) => {
  const asked: string[] = [];
  const first = Promise.withResolvers<void>();
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a', 'b'],
    policy: { hedge: { enabled: false } },
    async answer(provider) {
      asked.push(provider);
      await first.promise;
      return { kind: 'retryable', cause: 'unavailable', detail: '' };
    },
  });
  await appendAll(agent.store, texts(3));
  await until('a try is under way', () => agent.forwarder.streams()[0]?.inFlight === 3);
  const nowhere = { compliance: { data_residency: { mars: ['mars-1'] } } };
  take(agent, policy({ data_residency: 'mars' }, nowhere));
  const before = asked.length;
  first.resolve();
  await until('the rows are back', () => agent.forwarder.streams()[0]?.inFlight === 0);
  await appendAll(agent.store, texts(3));
  t.equal(asked.length, before, 'no other provider is asked');
  t.match(agent.forwarder.streams(), [{ pending: 6, inFlight: 0 }]);
  await agent.stop();
});

t.test('a stream that the policy adds has its rules at once; one without records is forgotten', async (t) => {
  const agent = await agentOn(bufferFile(testDir(t)), { providers: ['a'] });
  const names = () => agent.forwarder.streams().map(({ name }) => name);
  const two = { streams: { alarms: { topics: ['alarm'] }, telemetry: { topics: ['#'] } } };
  take(agent, policySchema.parse(two));
  t.strictSame(names(), ['telemetry', 'alarms']);
  await appendAll(agent.store, texts(2), 'alarms');
  await until('they leave', drained(agent));
  t.strictSame(
    agent.logged.filter(({ event }) => event === 'forward.stream_not_in_policy'),
    [],
  );
  take(agent, policy({}));
  t.strictSame(names(), ['telemetry', 'alarms'], 'its epoch is not over');
  const third = { streams: { third: { topics: ['3'] }, telemetry: { topics: ['#'] } } };
  take(agent, policySchema.parse(third));
  take(agent, policy({}));
  t.strictSame(names(), ['telemetry', 'alarms']);
  await agent.stop();
});
