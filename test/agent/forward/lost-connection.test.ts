/** A connection that several envelopes share is lost once. */
import t, { type Test } from 'tap';
import type { Outcome } from '../../../agent/providers/publisher.ts';
import { HEARTBEAT_STREAM } from '../../../shared/envelope/envelope.ts';
import { SkippingClock } from '../../skipping-clock.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, texts } from '../store/fixture.ts';
import { agentOn, drained, seqsOf } from './fixture.ts';

const lost = (): Outcome => ({ kind: 'unknown', cause: 'connection-lost', detail: 'cut' });

/** Two envelopes are under way when the connection, or each one's own, ends. Returns the health after it. */
async function afterLoss(t: Test, outcomes: [Outcome, Outcome]): Promise<string[]> {
  const cut = Promise.withResolvers<void>();
  const left = [...outcomes];
  let underWay = 0;
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a'],
    policy: { failover: { failures_to_open: 2, deadline_min: '3s' } },
    async answer(_, message) {
      if (message.stream === HEARTBEAT_STREAM) return { kind: 'accepted' };
      const mine = left.pop();
      if (!mine) return { kind: 'accepted' };
      underWay += 1;
      await cut.promise;
      return mine;
    },
  });
  t.after(() => agent.stop());
  const health: string[] = [];
  agent.routing.onStep((_, effects) => {
    for (const effect of effects) if (effect.kind === 'health') health.push(effect.to);
  });
  await until('it is known to work', () => (agent.senders.get('a')?.counters.accepted ?? 0) > 0);
  await appendAll(agent.store, texts(1));
  await until('one is under way', () => underWay === 1);
  await appendAll(agent.store, texts(1, 2));
  await until('both are under way', () => underWay === 2);
  cut.resolve();
  await until('the buffer is drained', drained(agent));
  return health;
}

t.test('of one connection: one failure', async (t) => {
  const loss = lost();
  t.same(await afterLoss(t, [loss, loss]), []);
});

t.test('of two connections: two failures, which open the breaker', async (t) => {
  t.equal((await afterLoss(t, [lost(), lost()]))[0], 'open');
});

t.test('cuts while a limit holds the provider say nothing against the record (I3)', async (t) => {
  const clock = new SkippingClock();
  let cuts = 0;
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a'],
    clock,
    policy: { failover: { deadline_min: '3s', failures_to_open: 100 }, hedge: { enabled: false } },
    async answer(_, message) {
      if (message.stream === HEARTBEAT_STREAM || cuts >= 40) return { kind: 'accepted' };
      agent.routing.dispatch({ kind: 'hold', provider: 'a', reason: 'quota' });
      cuts += 1;
      return lost();
    },
  });
  t.after(() => agent.stop());
  const isGivenUp = () => agent.logged.some(({ event }) => event === 'forward.given_up');
  await until('it is known to work', () => (agent.senders.get('a')?.counters.accepted ?? 0) > 0);
  await appendAll(agent.store, texts(1));
  // Probes are accepted between the cuts.
  await until('the record is settled', async () => {
    agent.routing.dispatch({ kind: 'release', provider: 'a', reason: 'quota' });
    clock.skip(700);
    return isGivenUp() || (await drained(agent)());
  });
  t.equal(seqsOf(agent, 'a').length, 1, 'it is delivered');
  t.notOk(isGivenUp());
});
