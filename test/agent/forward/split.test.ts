/** A stream that is shared out over several providers, from a real store through the real forwarder. */

import t from 'tap';
import type { Outcome } from '../../../agent/providers/publisher.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, texts } from '../store/fixture.ts';
import { type Agent, agentOn, drained, incompressible, seqsOf } from './fixture.ts';

const SPLIT = { mode: 'split', shares: { a: 3, b: 1 }, linger: '1ms' };

/** So many envelopes, one after the other. */
async function publish(agent: Agent, envelopes: number, from = 1): Promise<void> {
  for (let i = 0; i < envelopes; i++) {
    const before = agent.accepted.length;
    await appendAll(agent.store, texts(1, from + i));
    await until('something more is accepted', () => agent.accepted.length > before);
  }
}

const all = (agent: Agent): number[] =>
  [...seqsOf(agent, 'a'), ...seqsOf(agent, 'b')].toSorted((x, y) => x - y);
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

t.test(
  'envelopes are shared out by weight, each record goes to one provider, and its row is freed (I3)',
  async (t) => {
    const agent = await agentOn(bufferFile(testDir(t)), { providers: ['a', 'b'], stream: SPLIT });
    await until('all providers accepted something', () =>
      agent.routing.explain('telemetry').every(({ inputs }) => inputs.measured.accepted > 0),
    );
    await publish(agent, 40);
    await until('the buffer is drained', drained(agent));
    const toA = seqsOf(agent, 'a').length;
    t.ok(toA >= 28 && toA <= 32, `${toA} of 40 went to a`);
    t.strictSame(all(agent), numbers(40));
    await agent.stop();
  },
);

t.test('what one refuses goes to the other at once, and none is lost or late', async (t) => {
  const down = new Set<string>();
  const agent = await agentOn(bufferFile(testDir(t)), { providers: ['a', 'b'], stream: SPLIT, down });
  await until('all providers accepted something', () =>
    agent.routing.explain('telemetry').every(({ inputs }) => inputs.measured.accepted > 0),
  );
  await publish(agent, 4);
  down.add('a');
  await publish(agent, 8, 5);
  await until('the buffer is drained', drained(agent));
  t.strictSame(seqsOf(agent, 'b').slice(-8), numbers(12).slice(4), 'in order, as they came');
  t.strictSame(all(agent), numbers(12));
  await agent.stop();
});

t.test('one that is slow and full does not hold up the other: it gives its turns away', async (t) => {
  const slow = Promise.withResolvers<Outcome>();
  const answer = (provider: string) => (provider === 'a' ? slow.promise : null);
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a', 'b'],
    stream: SPLIT,
    policy: { hedge: { enabled: false } },
    answer,
  });
  await until('a provider accepted something', () =>
    agent.routing.explain('telemetry').some(({ inputs }) => inputs.measured.accepted > 0),
  );
  await appendAll(agent.store, incompressible(200));
  await until('b has more than 100 records', () => seqsOf(agent, 'b').length > 100);
  t.ok(agent.mostInFlight('a') <= 9, 'eight and a probe (I10)');
  t.ok(seqsOf(agent, 'a').length === 0, 'a has answered nothing yet');
  slow.resolve({ kind: 'accepted' });
  await agent.stop();
});
