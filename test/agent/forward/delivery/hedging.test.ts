/**
 * Hedges through the whole forwarder: a silent provider delays no live record, and the backlog is not hedged.
 */

import t from 'tap';
import type { Outcome } from '../../../../agent/providers/publisher.ts';
import { latency } from '../../../latency.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { appendAll, bufferFile, texts } from '../../store/fixture.ts';
import { agentOn, drained, seqsOf } from '../fixture.ts';

const LATE: Outcome = { kind: 'unknown', cause: 'deadline', detail: '' };
const POLICY = {
  hedge: { delay_min: '80ms', delay_max: '80ms' },
  failover: { deadline_min: '3s', deadline_max: '3s' },
};
const STREAM = { preferred_providers: ['a', 'b'] };

/** The second one answers after a moment, the first one not until its deadline. */
async function silentUntilDeadline(provider: string, deadlineMs: number): Promise<Outcome> {
  await latency(provider === 'a' ? deadlineMs : 5);
  return provider === 'a' ? LATE : { kind: 'accepted' };
}

t.test(
  'a silent provider is overtaken: the row is freed by the other, long before the deadline',
  async (t) => {
    const deadline = Promise.withResolvers<Outcome>();
    const agent = await agentOn(bufferFile(testDir(t)), {
      providers: ['a', 'b'],
      stream: STREAM,
      policy: POLICY,
      answer: (provider) => (provider === 'a' ? deadline.promise : null),
    });
    t.teardown(() => agent.stop());
    await appendAll(agent.store, texts(3));
    await until('the buffer is drained', drained(agent));
    t.strictSame(seqsOf(agent, 'b'), [1, 2, 3]);
    t.match(agent.forwarder.hedging.counters.get('a'), { sent: 1, won: 1, lost: 0, cancelled: 0, failed: 0 });
    const recovered = agent.logged.filter(({ event }) => event === 'forward.recovered');
    t.match(recovered, [{ from: 'a', to: 'b', seq: 1 }], 'what was stuck there has arrived');
    t.equal(recovered.length, 1);
    t.equal(agent.routing.providers()[0]?.tries, 0, 'the try at the silent one goes on');
    deadline.resolve(LATE);
    await until('the first provider was tried', () => (agent.routing.providers()[0]?.tries ?? 0) > 0);
    t.match(agent.routing.providers()[0], { successRate: 0 }, 'and counts when its deadline passes');
  },
);

t.test('what waited out an outage is not hedged, unless the policy says so', async (t) => {
  for (const backlog of [false, true]) {
    const file = bufferFile(testDir(t));
    const before = await agentOn(file, { providers: ['a'], down: new Set(['a']) });
    await appendAll(before.store, texts(3));
    await before.stop();
    const agent = await agentOn(file, {
      providers: ['a', 'b'],
      stream: STREAM,
      policy: {
        hedge: { ...POLICY.hedge, backlog },
        failover: { deadline_min: '400ms', deadline_max: '400ms' },
      },
      answer: (provider, _, deadlineMs) => silentUntilDeadline(provider, deadlineMs),
    });
    await until('b has 3 records', () => seqsOf(agent, 'b').length === 3);
    t.match(agent.forwarder.hedging.counters.get('a'), { sent: backlog ? 1 : 0 });
    await agent.stop();
  }
});
