/**
 * Outages at a gateway: how fast they are noticed, how fast streams recover, and that streams do not swing.
 */
import t from 'tap';
import type { Outcome } from '../../../../agent/providers/publisher.ts';
import {
  candidates,
  type Effect,
  initialState,
  providerStatus,
  type RoutingEvent,
  transition,
} from '../../../../agent/routing/core/core.ts';
import { accept, type Behaviour, blackhole, facts, policyOf, refuse, type Weather, World } from './world.ts';

const NONE: ReadonlySet<string> = new Set();

/** Stream `telemetry` prefers a, then b. */
function policy(failover: Record<string, unknown> = {}): ReturnType<typeof policyOf> {
  return policyOf({ streams: { telemetry: { topics: ['#'], preferred_providers: ['a', 'b'] } }, failover });
}

function world(failover: Record<string, unknown> = {}, publishEveryMs = 50): World {
  return new World({ policy: policy(failover), providers: [facts('b'), facts('a')], publishEveryMs });
}

/** A core without a world: the test dispatches every answer. */
function silent(failover: Record<string, unknown>): { at(nowMs: number, event: RoutingEvent): Effect[] } {
  let state = initialState(policy(failover), [facts('a')], 0);
  return {
    at(nowMs, event) {
      const step = transition(state, event, nowMs);
      state = step.state;
      return step.effects.filter(({ kind }) => kind === 'probe');
    },
  };
}

const tick: RoutingEvent = { kind: 'tick' };

function tried(outcome: Outcome, latencyMs: number, probe: boolean): RoutingEvent {
  return { kind: 'published', provider: 'a', outcome, latencyMs, bytes: 200, probe };
}

const refused: Outcome = { kind: 'retryable', cause: 'connection-refused', detail: '' };
const late: Outcome = { kind: 'unknown', cause: 'deadline', detail: '' };

t.test('at start every provider may be used at once, and is probed soon (SPEC 4)', (t) => {
  const w = world();
  t.same(candidates(w.state, 'telemetry', NONE), ['a', 'b']);
  w.dispatch({ kind: 'tick' });
  t.match(w.switches(), [{ stream: 'telemetry', from: null, to: 'a', reason: 'start' }]);
  t.equal(w.probes('a').length, 1);
  t.equal(w.probes('b').length, 1);
  t.end();
});

t.test('an idle standby is probed every standby_probe, one in use is not', (t) => {
  const w = world({ standby_probe: '5s' });
  w.run(26_000);
  t.equal(w.probes('a').length, 0, 'the publishes show how it is');
  t.equal(w.probes('b').length, 6);
  t.end();
});

t.test('a refused connection moves the stream on its first outcome (SPEC 5, 10)', (t) => {
  const w = world();
  w.run(1000);
  w.dispatch(tried(refused, 3, false));
  t.equal(w.health('a'), 'open');
  t.same(candidates(w.state, 'telemetry', NONE), ['b']);
  t.match(w.switches().at(-1), { from: 'a', to: 'b', reason: 'breaker' });
  t.end();
});

t.test('what one outcome says', (t) => {
  const retryable = (cause: Extract<Outcome, { kind: 'retryable' }>['cause']): Outcome => ({
    kind: 'retryable',
    cause,
    detail: '',
  });
  const cases: Array<[Outcome, string]> = [
    [retryable('connection-refused'), 'open'],
    [retryable('not-connected'), 'open'],
    [retryable('tls'), 'open'],
    [retryable('connection-reset'), 'healthy'],
    [retryable('server-error'), 'healthy'],
    [retryable('unavailable'), 'healthy'],
    [retryable('clock-skew'), 'healthy'],
    [{ kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail: '' }, 'open'],
    [{ kind: 'rejected', scope: 'envelope', cause: 'too-large', detail: '' }, 'healthy'],
    [{ kind: 'throttled', retryAfterMs: null, detail: '' }, 'open'],
    [{ kind: 'unknown', cause: 'deadline', detail: '' }, 'healthy'],
    [{ kind: 'unknown', cause: 'connection-lost', detail: '' }, 'healthy'],
  ];
  for (const [outcome, health] of cases) {
    const w = world();
    w.dispatch(tried(outcome, 0, false));
    t.equal(w.health('a'), health, JSON.stringify(outcome));
  }
  t.end();
});

t.test('refused envelopes are no failures, however many there are in a row', (t) => {
  const w = world({ failures_to_open: 2 });
  for (const cause of ['too-large', 'invalid', 'not-found', 'invalid', 'too-large'] as const)
    w.dispatch(tried({ kind: 'rejected', scope: 'envelope', cause, detail: '' }, 0, false));
  t.equal(w.health('a'), 'healthy');
  w.dispatch(tried({ kind: 'unknown', cause: 'deadline', detail: '' }, 0, false));
  t.equal(w.health('a'), 'healthy', 'none of them counts towards the failures that open it');
  t.end();
});

t.test('a black hole opens after failures_to_open unknowns, within the adaptive deadline', (t) => {
  const w = world({ failures_to_open: 3 });
  w.run(2000);
  const startMs = w.nowMs;
  w.weather('a', blackhole);
  w.run(2000);
  const opened = w.effects.find((effect) => effect.kind === 'health' && effect.to === 'open');
  t.match(opened, { provider: 'a', from: 'healthy', reason: 'failures' });
  t.ok((opened?.atMs ?? Number.NaN) - startMs < 1000, 'deadline_min, and three envelopes of the same moment');
  t.equal(w.chosen(), 'b');
  t.end();
});

t.test('a quiet stream notices a black hole without a second envelope: the suspect is probed', (t) => {
  const w = world({}, 30_000);
  w.run(2000);
  w.weather('a', blackhole);
  w.publish();
  w.run(4000);
  t.equal(w.health('a'), 'open');
  t.equal(w.sent.get('a'), 1);
  t.end();
});

t.test('tries that were under way when it opened do not lengthen the pause (SPEC 6)', (t) => {
  const w = world({ open_for: '2s' });
  w.run(2000);
  w.weather('a', blackhole);
  w.run(900);
  const [status] = providerStatus(w.state).filter(({ provider }) => provider === 'a');
  const openMs = status?.sinceMs ?? Number.NaN;
  t.equal(status?.openUntilMs, openMs + 2000);
  w.run(1000);
  const [later] = providerStatus(w.state).filter(({ provider }) => provider === 'a');
  t.equal(later?.openUntilMs, openMs + 2000, 'a dozen late unknowns later');
  t.end();
});

t.test('late failures of an outage that is over do not open it again (SPEC 7)', (t) => {
  const w = world({ probes_to_close: 1, open_for: '100ms' });
  w.run(1000);
  w.weather('a', refuse);
  w.run(200);
  w.weather('a', accept);
  w.run(1000);
  t.equal(w.health('a'), 'healthy');
  for (let i = 0; i < 5; i += 1) {
    w.dispatch({
      kind: 'published',
      provider: 'a',
      outcome: late,
      latencyMs: 2000,
      bytes: 100,
      probe: false,
    });
  }
  t.equal(w.health('a'), 'healthy');
  t.end();
});

t.test(
  'after an outage it is healthy within one pause and its probes, and used again after the dwell (SPEC 7, 11)',
  (t) => {
    const w = world({ open_for: '2s', open_max: '8s', probes_to_close: 2, dwell: '10s' });
    w.run(2000);
    w.weather('a', refuse);
    w.run(40_000);
    t.equal(w.health('a'), 'open');
    t.equal(w.starved, 0, 'b carried everything');
    w.weather('a', accept);
    const endMs = w.nowMs;
    w.run(8000 + 1000);
    t.equal(w.health('a'), 'healthy');
    const closed = w.effects.findLast((effect) => effect.kind === 'health');
    t.match(closed, { provider: 'a', from: 'probing', to: 'healthy', reason: 'proven' });
    w.run(12_000);
    t.equal(w.chosen(), 'a');
    const back = w.switches().at(-1);
    t.match(back, { from: 'b', to: 'a', reason: 'preferred' });
    t.ok((back?.atMs ?? 0) - (closed?.atMs ?? 0) >= 10_000, 'dwell since it is healthy');
    t.ok((back?.atMs ?? 0) - endMs < 8000 + 1000 + 10_200);
    t.end();
  },
);

t.test(
  'when every provider is down nothing may be sent, probes go on, and the first one back is used at once (SPEC 13)',
  (t) => {
    const w = world({ open_max: '4s' });
    w.run(1000);
    w.weather('a', refuse);
    w.weather('b', blackhole);
    w.run(60_000);
    t.same(candidates(w.state, 'telemetry', NONE), []);
    t.equal(w.chosen(), null);
    t.match(w.switches().at(-1), { to: null, reason: 'breaker' });
    const lateProbes = (name: string): number =>
      w.probes(name).filter(({ atMs }) => atMs > w.nowMs - 20_000).length;
    t.ok(lateProbes('a') >= 4, 'refused probes every open_max');
    t.ok(lateProbes('b') >= 2, 'black-holed ones also wait for their deadline');
    w.weather('b', accept);
    w.run(4000 + 3000 + 1000);
    t.equal(w.chosen(), 'b');
    t.match(w.switches().at(-1), { from: null, to: 'b', reason: 'recovered' });
    t.end();
  },
);

t.test('what failed during an outage does not degrade it afterwards (SPEC 8)', (t) => {
  const w = world({ open_for: '500ms', open_max: '1s' });
  w.run(1000);
  w.weather('a', refuse);
  w.run(20_000);
  w.weather('a', accept);
  w.run(20_000);
  t.equal(w.chosen(), 'a');
  t.notOk(w.effects.some((effect) => effect.kind === 'health' && effect.to === 'degraded'));
  t.equal(providerStatus(w.state).find(({ provider }) => provider === 'a')?.successRate, 1);
  t.end();
});

t.test('one probe at a time, unless its outcome is long overdue', (t) => {
  const core = silent({ standby_probe: '1s', deadline_max: '3s' });
  t.equal(core.at(0, tick).length, 1);
  t.equal(core.at(2000, tick).length, 0);
  t.equal(core.at(3900, tick).length, 0);
  t.equal(core.at(4000, tick).length, 1, 'a second past the longest deadline');
  t.end();
});

t.test(
  'a probe from before the outage neither holds up nor replaces the ones that close the breaker',
  (t) => {
    const core = silent({ open_for: '200ms', deadline_max: '3s' });
    t.equal(core.at(0, tick).length, 1);
    core.at(100, tried(refused, 5, false));
    t.equal(core.at(300, tick).length, 1, 'the pause is over: probed at once');
    core.at(400, tried(late, 400, true));
    t.equal(core.at(500, tick).length, 0, 'the new probe is still under way');
    t.end();
  },
);

t.test('a rejected probe has failed', (t) => {
  const w = world({ open_for: '200ms' });
  w.run(1000);
  w.weather('a', refuse);
  w.run(100);
  const outcome: Outcome = { kind: 'rejected', scope: 'envelope', cause: 'invalid', detail: '' };
  w.weather('a', { kind: 'fail', latencyMs: 5, outcome });
  w.run(250);
  t.equal(w.health('a'), 'open');
  t.match(w.effects.at(-1), { from: 'probing', to: 'open', reason: 'probe-failed' });
  t.end();
});

t.test('the memory of openings is bounded (I10)', (t) => {
  const w = world({ probes_to_close: 1 });
  for (let n = 0; n < 40; n += 1) {
    w.dispatch(tried(refused, 0, false));
    w.dispatch(tried({ kind: 'accepted' }, 0, false));
  }
  t.equal(w.state.providers.find(({ facts }) => facts.name === 'a')?.opensMs.length, 16);
  t.equal(providerStatus(w.state).find(({ provider }) => provider === 'a')?.flapPenaltyMs, 300_000);
  t.end();
});

t.test('throttled: left alone as long as it asks, then proven again (SPEC 6)', (t) => {
  const w = world({ dwell: '1s' });
  w.run(1000);
  const outcome: Outcome = { kind: 'throttled', retryAfterMs: 5000, detail: '' };
  w.dispatch(tried(outcome, 3, false));
  const startMs = w.nowMs;
  w.run(10_000);
  const [first] = w.probes('a');
  t.ok((first?.atMs ?? 0) >= startMs + 5000 && (first?.atMs ?? 0) <= startMs + 5100);
  t.equal(w.chosen(), 'a');
  t.end();
});

t.test('a provider that fails now and then is degraded, and left for a better one (SPEC 11)', (t) => {
  let n = 0;
  const shaky: Weather = () => {
    n += 1;
    const outcome: Outcome = { kind: 'retryable', cause: 'server-error', detail: '' };
    return n % 4 === 0 ? { kind: 'fail', latencyMs: 20, outcome } : accept;
  };
  // The hub costs nothing within its quota: a lead in cost must not hold the traffic there.
  const plain = policyOf({ failover: { dwell: '1s' } });
  const w = new World({
    policy: plain,
    providers: [facts('a', { type: 'azure' }), facts('b', { type: 'aws' })],
  });
  w.weather('a', shaky);
  w.run(3000);
  t.match(
    w.effects.find((effect) => effect.kind === 'health'),
    { provider: 'a', to: 'degraded', reason: 'success-rate' },
  );
  t.match(w.switches().at(-1), { from: 'a', to: 'b', reason: 'degraded' });
  w.weather('a', accept);
  w.run(90_000);
  t.equal(w.health('a'), 'healthy', 'the probes acquit it once the failures are a minute old');
  t.end();
});

t.test('a provider that becomes slow is degraded by its own usual latency', (t) => {
  const slow: Behaviour = { kind: 'accept', latencyMs: 600 };
  const plain = policyOf({ failover: { dwell: '1s', deadline_min: '1s' } });
  const w = new World({ policy: plain, providers: [facts('a', { slaPercent: 99.99 }), facts('b')] });
  w.run(5000);
  t.equal(w.chosen(), 'a');
  w.weather('a', slow);
  w.run(5000);
  t.ok(w.effects.some((effect) => effect.kind === 'health' && effect.reason === 'latency'));
  t.equal(w.chosen(), 'b');
  t.end();
});

t.test('a bulk transfer on a slow uplink degrades nobody', (t) => {
  const plain = policyOf({ failover: { deadline_min: '3s' } });
  const w = new World({ policy: plain, providers: [facts('a', { slaPercent: 99.99 }), facts('b')] });
  w.run(3000);
  w.weather('a', { kind: 'accept', latencyMs: 1500 });
  for (let i = 0; i < 20; i += 1) w.publish('telemetry', 90_000);
  w.weather('a', accept);
  w.run(5000);
  t.equal(w.chosen(), 'a');
  t.notOk(w.effects.some((effect) => effect.kind === 'health'));
  t.end();
});

t.test('a provider that flaps every 3 s makes fewer and fewer failbacks (SPEC 12)', (t) => {
  const w = world({ dwell: '500ms', open_for: '500ms', open_max: '1s', standby_probe: '1s' });
  w.weather('a', (nowMs) => (nowMs % 6000 < 3000 ? accept : refuse));
  w.run(120_000);
  const failbacks = w.switches().filter(({ to, reason }) => to === 'a' && reason === 'preferred');
  const perHalfMinute = [0, 1, 2, 3].map(
    (i) => failbacks.filter(({ atMs }) => atMs >= 1000 + i * 30_000 && atMs < 1000 + (i + 1) * 30_000).length,
  );
  t.ok((perHalfMinute[0] ?? 0) >= 1, 'a single flap is forgiven');
  t.ok((perHalfMinute[0] ?? 0) < 5, 'but not all of them');
  t.same(perHalfMinute.slice(1), [0, 0, 0]);
  t.equal(w.starved, 0);
  w.weather('a', accept);
  w.run(320_000);
  t.equal(w.chosen(), 'a', 'well for as long as the highest penalty, it is used again');
  t.end();
});

t.test('scores that alternate within the margin never move a stream (SPEC 12)', (t) => {
  const plain = policyOf({ failover: { dwell: '0s', margin: 0.05 } });
  const w = new World({ policy: plain, providers: [facts('a'), facts('b')], publishEveryMs: 25 });
  // 40 ms against 70 ms: 0.833 against 0.741 in performance, 0.023 in score.
  w.weather('a', (nowMs) => ({ kind: 'accept', latencyMs: nowMs % 20_000 < 10_000 ? 40 : 70 }));
  w.weather('b', (nowMs) => ({ kind: 'accept', latencyMs: nowMs % 20_000 < 10_000 ? 70 : 40 }));
  w.run(120_000);
  t.equal(w.switches().length, 1);
  t.end();
});

t.test('a lead past the margin moves it once, after the dwell', (t) => {
  const plain = policyOf({ failover: { dwell: '10s', margin: 0.05, standby_probe: '1s' } });
  const w = new World({ policy: plain, providers: [facts('a', { slaPercent: 99.99 }), facts('b')] });
  w.weather('a', { kind: 'accept', latencyMs: 600 });
  w.weather('b', { kind: 'accept', latencyMs: 20 });
  w.run(60_000);
  t.equal(w.switches().length, 2);
  const [start, move] = w.switches();
  t.match(move, { from: 'a', to: 'b', reason: 'score' });
  const usedMs = (move?.atMs ?? 0) - (start?.atMs ?? 0);
  t.ok(usedMs >= 10_000 && usedMs <= 10_200, `${usedMs} ms`);
  t.end();
});
