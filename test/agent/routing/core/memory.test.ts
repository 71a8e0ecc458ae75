/** Routing's state survives a restart, as ages and remainders. */
import t from 'tap';
import {
  candidates,
  explain,
  initialState,
  memoryOf,
  providerStatus,
  type RoutingState,
  transition,
} from '../../../../agent/routing/core/core.ts';
import { accept, type Behaviour, blackhole, facts, policyOf, refuse, World } from './world.ts';

const POLICY = policyOf({
  streams: { telemetry: { topics: ['#'], preferred_providers: ['a', 'b'] } },
  failover: { dwell: '10s', open_for: '4s' },
});
const FACTS = [facts('a'), facts('b')];
const NONE: ReadonlySet<string> = new Set();

function worldAfter(weather: ReadonlyArray<[Behaviour, ms: number]>): World {
  const world = new World({ policy: POLICY, providers: FACTS });
  for (const [behaviour, ms] of weather) {
    world.weather('a', behaviour);
    world.run(ms);
  }
  return world;
}

/** The agent is gone for `elapsedMs`, and begins anew at `nowMs` of another count of time. */
function restarted(before: RoutingState, elapsedMs = 0, nowMs = 500): ReturnType<typeof transition> {
  const memory = structuredClone(memoryOf(before));
  return transition(initialState(POLICY, FACTS, nowMs - 1), { kind: 'restored', memory, elapsedMs }, nowMs);
}

function statusOf(state: RoutingState, name: string): ReturnType<typeof providerStatus>[number] | undefined {
  return providerStatus(state).find(({ provider }) => provider === name);
}

t.test('a breaker that was open stays open for what is left of its pause (SPEC 20)', (t) => {
  const { state } = worldAfter([
    [accept, 5000],
    [refuse, 1000],
  ]);
  const before = statusOf(state, 'a');
  t.equal(before?.health, 'open');
  const restMs = (before?.openUntilMs ?? 0) - state.nowMs;
  const after = restarted(state);
  t.match(statusOf(after.state, 'a'), { health: 'open', reason: 'restored', openUntilMs: 500 + restMs });
  t.same(candidates(after.state, 'telemetry', NONE), ['b'], 'nothing goes into the outage');
  t.match(after.effects, [
    { kind: 'health', provider: 'a', from: 'healthy', to: 'open', reason: 'restored' },
    { kind: 'switch', stream: 'telemetry', from: null, to: 'b', reason: 'restored' },
  ]);
  const later = restarted(state, 1000);
  t.equal(statusOf(later.state, 'a')?.openUntilMs, 500 + restMs - 1000, 'the time in between counts');
  const over = transition(restarted(state, 60_000).state, { kind: 'tick' }, 600);
  t.equal(statusOf(over.state, 'a')?.health, 'probing');
  t.end();
});

t.test(
  'a stream stays where it is until dwell and flap penalty are over, as without a restart (SPEC 20)',
  (t) => {
    const flaps: Array<[Behaviour, ms: number]> = [
      [refuse, 3000],
      [accept, 8000],
    ];
    const { state } = worldAfter([[accept, 5000], ...flaps, ...flaps, ...flaps]);
    const wait = (one: RoutingState): number =>
      explain(one, 'telemetry').find(({ provider }) => provider === 'a')?.waitMs ?? 0;
    t.equal(state.streams[0]?.chosen, 'b');
    t.ok(wait(state) > 10_000, `${wait(state)} ms`);
    const after = restarted(state, 2000);
    t.equal(after.state.streams[0]?.chosen, 'b');
    t.equal(Math.round(wait(after.state)), Math.round(wait(state) - 2000));
    t.equal(after.state.providers[0]?.proven, false, 'and it must prove itself again');
    t.end();
  },
);

t.test('a trial goes on; a throttling provider is still left alone (SPEC 20)', (t) => {
  const lossy = worldAfter([
    [accept, 5000],
    [blackhole, 3000],
    [accept, 4000],
  ]).state;
  t.equal(lossy.providers[0]?.onTrial, true);
  t.equal(restarted(lossy).state.providers[0]?.onTrial, true);
  const throttled = worldAfter([
    [accept, 5000],
    [{ kind: 'fail', latencyMs: 5, outcome: { kind: 'throttled', retryAfterMs: 30_000, detail: '' } }, 1000],
  ]).state;
  t.match(statusOf(restarted(throttled).state, 'a'), { health: 'open', reason: 'throttled' });
  t.end();
});

t.test('holds are told by those that keep them (SPEC 20)', (t) => {
  const world = worldAfter([[accept, 1000]]);
  world.dispatch({ kind: 'hold', provider: 'a', reason: 'manual' });
  world.dispatch({ kind: 'hold', provider: 'a', reason: 'quota' });
  t.same(statusOf(restarted(world.state).state, 'a')?.holds, []);
  t.end();
});

t.test('of what is not configured any more nothing is taken; a policy’s new bounds hold', (t) => {
  const { state } = worldAfter([
    [accept, 5000],
    [refuse, 1000],
  ]);
  const memory = memoryOf(state);
  const only = transition(
    initialState(POLICY, [facts('c')], 0),
    { kind: 'restored', memory, elapsedMs: 0 },
    1,
  );
  t.same(candidates(only.state, 'telemetry', NONE), ['c']);
  const brief = policyOf({ failover: { open_for: '100ms', open_max: '200ms' } });
  const bounded = transition(initialState(brief, FACTS, 0), { kind: 'restored', memory, elapsedMs: 0 }, 1);
  t.equal(statusOf(bounded.state, 'a')?.openUntilMs, 201);
  t.end();
});
