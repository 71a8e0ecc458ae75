/** Records that providers refuse for good: found with few uploads, given up alone, and with a gap (I3). */
import t from 'tap';
import type { OutboundEnvelope, Outcome } from '../../../agent/providers/publisher.ts';
import { decodeEnvelope } from '../../../shared/envelope/codec.ts';
import { HEARTBEAT_STREAM } from '../../../shared/envelope/envelope.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, texts } from '../store/fixture.ts';
import { type Agent, agentOn, drained, incompressible, seqsOf } from './fixture.ts';

const INVALID: Outcome = { kind: 'rejected', scope: 'envelope', cause: 'invalid', detail: 'HTTP 400' };
const TOO_LARGE: Outcome = { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail: 'HTTP 413' };

const payloadsOf = ({ bytes }: OutboundEnvelope): string[] =>
  decodeEnvelope(bytes).records.map(({ payload }) => Buffer.from(payload).toString());
const isProbe = ({ stream }: OutboundEnvelope): boolean => stream === HEARTBEAT_STREAM;
const gapsOf = ({ accepted }: Agent) =>
  accepted.flatMap(({ envelope }) => envelope.gaps.map(({ first, last, reason }) => [first, last, reason]));
const big = incompressible(200).join('');

t.test('a record larger than any provider takes is never uploaded, and given up alone', async (t) => {
  let largest = 0;
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a', 'b'],
    answer(_, message) {
      largest = Math.max(largest, message.bytes.length);
      return null;
    },
  });
  await appendAll(agent.store, [...texts(3), big, ...texts(3)]);
  await until('the buffer is drained', drained(agent));
  await until('the gap is delivered', () => gapsOf(agent).length > 0);
  t.ok(big.length > 128_000 && largest <= 128_000, `${largest} bytes`);
  t.same(gapsOf(agent), [[4, 4, 'too-large']]);
  t.same(
    seqsOf(agent, 'a').toSorted((x, y) => x - y),
    [1, 2, 3, 5, 6, 7],
  );
  t.match(agent.store.evicted, [{ stream: 'telemetry', reason: 'too-large', records: 1 }]);
  t.match(
    agent.routing.providers().map(({ health }) => health),
    ['healthy', 'healthy'],
  );
  await agent.stop();
});

t.test('a limit that nobody has written down is learned from its first refusal', async (t) => {
  let refusals = 0;
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a'],
    async answer(_, message) {
      if (message.bytes.length <= 20_000) return { kind: 'accepted' };
      refusals += 1;
      return TOO_LARGE;
    },
  });
  await appendAll(agent.store, [...texts(3), incompressible(40).join(''), ...texts(3)]);
  await until('the buffer is drained', drained(agent));
  await until('the gap is delivered', () => gapsOf(agent).length > 0);
  t.same(gapsOf(agent), [[4, 4, 'too-large']]);
  t.ok(refusals <= 3, `${refusals} uploads in vain`);
  t.match(agent.routing.providers(), [{ health: 'healthy' }]);
  await agent.stop();
});

t.test('one refused record among many is found by halves, and given up alone', async (t) => {
  let refusals = 0;
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a'],
    stream: { linger: '200ms' },
    async answer(_, message) {
      if (isProbe(message) || !payloadsOf(message).includes('poison')) return { kind: 'accepted' };
      refusals += 1;
      return INVALID;
    },
  });
  await appendAll(agent.store, [...texts(20), 'poison', ...texts(43)]);
  await until('the buffer is drained', drained(agent));
  await until('the gap is delivered', () => gapsOf(agent).length > 0);
  t.same(gapsOf(agent), [[21, 21, 'rejected']]);
  t.equal(new Set(seqsOf(agent, 'a')).size, 63, 'all the others');
  t.ok(refusals <= 9, `${refusals} uploads in vain`);
  t.match(agent.routing.providers(), [{ health: 'healthy' }], 'it is no fault of the provider');
  await agent.stop();
});

t.test('what one provider refuses goes to another that takes it', async (t) => {
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a', 'b'],
    stream: { preferred_providers: ['a', 'b'] },
    async answer(provider, message) {
      const refuses = provider === 'a' && !isProbe(message) && payloadsOf(message).includes('poison');
      return refuses ? INVALID : { kind: 'accepted' };
    },
  });
  await appendAll(agent.store, ['poison', ...texts(3)]);
  await until('the buffer is drained', drained(agent));
  t.ok(seqsOf(agent, 'b').includes(1));
  t.same(gapsOf(agent), []);
  await agent.stop();
});

t.test('a provider that refuses every record has its own fault: nothing is given up (I3)', async (t) => {
  let refusals = 0;
  const agent = await agentOn(bufferFile(testDir(t)), {
    providers: ['a'],
    async answer(_, message) {
      if (isProbe(message)) return { kind: 'accepted' };
      refusals += 1;
      return INVALID;
    },
  });
  await appendAll(agent.store, texts(4));
  await until('each record was refused alone', () => refusals >= 7);
  await agent.stop();
  t.equal(agent.store.evicted.length, 0);
  t.ok(refusals <= 8, `${refusals} uploads`);
});
