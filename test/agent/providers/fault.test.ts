/**
 * The fault of a provider: from each publisher's outcome to the sender, from which status and metrics read.
 */
import { join } from 'node:path';
import t from 'tap';
import { faultOf } from '../../../agent/providers/fault.ts';
import { NOT_SENT, type Outcome } from '../../../agent/providers/publisher.ts';
import { attempt } from '../../attempt.ts';
import { envelope } from '../../loopback/gcp-support.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { agentOn } from '../forward/fixture.ts';
import { appendAll } from '../store/fixture.ts';
import { KINDS } from './kinds.ts';
import { startTunnel } from './tunnel.ts';

const detail = '';

t.setTimeout(300_000);

t.test('each outcome has its fault, and what says nothing of the provider has none', async (t) => {
  const cases: Array<[Outcome, ReturnType<typeof faultOf>]> = [
    [{ kind: 'accepted' }, null],
    [NOT_SENT, null],
    [{ kind: 'rejected', scope: 'envelope', cause: 'too-large', detail }, null],
    [{ kind: 'retryable', cause: 'unavailable', phase: 'queue', detail }, null],
    [{ kind: 'retryable', cause: 'clock-skew', detail }, 'clock'],
    [{ kind: 'retryable', cause: 'dns', detail }, 'dns'],
    [{ kind: 'retryable', cause: 'timeout', phase: 'dns', detail }, 'dns'],
    [{ kind: 'retryable', cause: 'timeout', phase: 'connect', detail }, 'unreachable'],
    [{ kind: 'retryable', cause: 'timeout', phase: 'tls', detail }, 'tls'],
    [{ kind: 'retryable', cause: 'timeout', phase: 'login', detail }, 'silent'],
    [{ kind: 'retryable', cause: 'timeout', phase: 'credentials', detail }, 'credentials'],
    [{ kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail }, 'credentials'],
    [{ kind: 'rejected', scope: 'provider', cause: 'not-found', detail }, 'configuration'],
    [{ kind: 'throttled', retryAfterMs: null, detail }, 'throttled'],
    [{ kind: 'throttled', cause: 'quota', retryAfterMs: null, detail }, 'quota'],
    [{ kind: 'unknown', cause: 'deadline', detail }, 'silent'],
    [{ kind: 'unknown', cause: 'connection-lost', detail }, 'lost'],
  ];
  for (const [outcome, fault] of cases) t.equal(faultOf(outcome), fault, JSON.stringify(outcome));
});

for (const [name, kind] of Object.entries(KINDS)) {
  t.test(`${name}: a closed port is refused, a silent one is not`, async (t) => {
    const cloud = await kind.start(t);
    // Nothing listens on port 1 of this machine.
    const refused = await cloud.open(1);
    t.after(() => refused.close());
    t.equal(faultOf(await refused.publish(envelope('x'), attempt(60_000))), 'refused');
    const tunnel = await startTunnel(t, cloud.port);
    tunnel.hold('all');
    const muted = await cloud.open(tunnel.port);
    t.after(() => muted.close());
    await until('the phase is named', async () => {
      const fault = faultOf(await muted.publish(envelope('x'), attempt(300)));
      return fault === (name === 'mqtt' ? 'silent' : 'tls');
    });
  });
}

t.test('a limit that the provider enforces without a word is told as what it is', async (t) => {
  const agent = await agentOn(join(testDir(t), 'buffer.db'), { providers: ['hub'], down: new Set(['hub']) });
  t.after(() => agent.stop());
  const { routing, senders } = agent;
  const cut = (): void => routing.dispatch({ kind: 'cut', provider: 'hub', cut: 'unanswered' });
  for (let i = 0; i < 4; i++) cut();
  t.match(senders.get('hub')?.fault, { cause: 'throttled', detail: /asked for too much/ });
  routing.dispatch({ kind: 'hold', provider: 'hub', reason: 'quota' });
  t.match(
    senders.get('hub')?.fault,
    { cause: 'quota', detail: /our own count/ },
    'the day’s quota is used up',
  );
});

t.test('a sender tells its fault until a publish is accepted', async (t) => {
  let outcome: Outcome = { kind: 'retryable', cause: 'dns', detail: 'getaddrinfo ENOTFOUND' };
  const agent = await agentOn(join(testDir(t), 'a.db'), {
    providers: ['a'],
    answer: async () => outcome,
  });
  t.teardown(() => agent.stop());
  await appendAll(agent.store, ['x']);
  const fault = () => agent.senders.get('a')?.fault ?? null;
  await until('it fails', () => fault() !== null);
  t.match(fault(), { cause: 'dns', detail: 'getaddrinfo ENOTFOUND' });
  outcome = { kind: 'accepted' };
  await until('it is accepted', () => fault() === null);
});
