/** The budget of probes. */
import t from 'tap';
import {
  initialState,
  memoryOf,
  type RoutingState,
  transition,
} from '../../../../agent/routing/core/core.ts';
import { envelopeCostUsd, standardTariff } from '../../../../shared/pricing/metering.ts';
import { accept, blackhole, facts, policyOf, refuse, World } from './world.ts';

const DAY_MS = 86_400_000;
/** Beyond the free allotments of AWS. */
const UNITS_BEYOND_FREE = 5e6;
const SIZES = { payloadBytes: 200, topicBytes: 50, propertyBytes: 100 };
const AWS_PROBE_USD = envelopeCostUsd(standardTariff('aws'), SIZES, UNITS_BEYOND_FREE);
const BUDGET_USD = 31 * 100 * AWS_PROBE_USD;
const POLICY = policyOf({
  cost: { probe_budget: BUDGET_USD },
  failover: { standby_probe: '1s', dwell: '2s' },
  streams: { telemetry: { topics: ['#'], preferred_providers: ['own', 'aws'] } },
});
const FACTS = [facts('own'), facts('aws', { type: 'aws' })];
const PENNILESS = {
  cost: { probe_budget: 0 },
  failover: { standby_probe: '1s' },
  streams: { telemetry: { topics: ['#'], preferred_providers: ['own'] } },
};

function used(state: RoutingState, nowMs: number): RoutingState {
  const event = {
    kind: 'usage',
    provider: 'aws',
    unitsThisMonth: UNITS_BEYOND_FREE,
    quotaUsed: null,
  } as const;
  return transition(state, event, nowMs).state;
}

/** Probes at aws while time passes in steps, each answered at once. */
function probesIn(
  start: RoutingState,
  forMs: number,
  stepMs: number,
): { count: number; state: RoutingState } {
  let state = start;
  let count = 0;
  const endMs = start.nowMs + forMs;
  for (let nowMs = start.nowMs + stepMs; nowMs <= endMs; nowMs += stepMs) {
    const ticked = transition(state, { kind: 'tick' }, nowMs);
    state = ticked.state;
    for (const effect of ticked.effects) {
      if (effect.kind !== 'probe') continue;
      if (effect.provider === 'aws') count += 1;
      const { provider } = effect;
      const answer = { outcome: { kind: 'accepted' }, latencyMs: 20, bytes: 200, probe: true } as const;
      state = transition(state, { kind: 'published', provider, ...answer }, nowMs).state;
    }
  }
  return { count, state };
}

function world(policy = POLICY): World {
  const made = new World({ policy, providers: FACTS });
  made.dispatch({ kind: 'usage', provider: 'aws', unitsThisMonth: UNITS_BEYOND_FREE, quotaUsed: null });
  return made;
}

t.test('no month of probes costs more than the budget, and all of it is used (SPEC 25)', (t) => {
  const first = used(initialState(POLICY, FACTS, 0), 0);
  const { count, state } = probesIn(first, 31 * DAY_MS, 60_000);
  const usd = count * AWS_PROBE_USD;
  t.ok(usd <= BUDGET_USD * 1.001, `${count} probes for ${usd} of ${BUDGET_USD} USD`);
  t.ok(usd >= BUDGET_USD * 0.95);
  const next = probesIn(state, DAY_MS, 60_000).count;
  t.ok(next >= 90 && next <= 100, `${next} on a day of the next month`);
  t.end();
});

t.test('at once it is a day of money; then probes are spaced out (SPEC 25)', (t) => {
  const w = world();
  w.run(300_000);
  t.ok(w.probes('aws').length >= 98 && w.probes('aws').length <= 101, `${w.probes('aws').length}`);
  t.equal(w.health('aws'), 'healthy');
  t.end();
});

t.test('what is free is not counted (SPEC 25)', (t) => {
  const providers = [facts('own'), facts('hub', { type: 'azure' })];
  const w = new World({ policy: policyOf(PENNILESS), providers });
  w.run(100_000);
  t.ok(w.probes('hub').length >= 85, `${w.probes('hub').length}`);
  t.end();
});

t.test(
  'without any money an outage of the standby ends all the same, and so does its trial (SPEC 25)',
  (t) => {
    const broke = policyOf({
      cost: { probe_budget: 0 },
      failover: { dwell: '2s', open_for: '2s' },
      streams: { telemetry: { topics: ['#'], preferred_providers: ['aws', 'own'] } },
    });
    const w = world(broke);
    w.run(5000);
    t.equal(w.chosen(), 'aws');
    w.weather('aws', blackhole);
    w.run(20_000);
    t.equal(w.chosen(), 'own');
    w.weather('aws', accept);
    const from = w.nowMs;
    w.run(240_000);
    t.equal(w.chosen(), 'aws', 'it is back');
    const probes = w.probes('aws').filter(({ atMs }) => atMs > from);
    const returned = w.switches().at(-1)?.atMs ?? 0;
    t.ok(returned - from < 180_000, `after ${returned - from} ms`);
    for (const [i, { atMs }] of probes.entries()) {
      const before = probes[i - 1];
      if (before && atMs - before.atMs < 5000) t.fail(`two within ${atMs - before.atMs} ms`);
    }
    t.end();
  },
);

t.test('without any money a standby that works is not probed, but for the first time (SPEC 25)', (t) => {
  const w = world(policyOf(PENNILESS));
  w.run(600_000);
  t.equal(w.probes('aws').length, 1);
  w.weather('own', refuse);
  w.run(1000);
  t.equal(w.chosen(), 'aws');
  t.end();
});

t.test('a restart is no new month (SPEC 25)', (t) => {
  const w = world();
  w.run(300_000);
  const memory = structuredClone(memoryOf(w.state));
  const restored = (elapsedMs: number): number => {
    const fresh = used(initialState(POLICY, FACTS, 10), 10);
    const { state } = transition(fresh, { kind: 'restored', memory, elapsedMs }, 10);
    return probesIn(state, 60_000, 1000).count;
  };
  t.equal(restored(0), 1, 'the first one shows that it lives');
  const later = restored(DAY_MS / 10);
  t.ok(later >= 10 && later <= 12, `${later}: what a tenth of a day has paid off`);
  t.end();
});
