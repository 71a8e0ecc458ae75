/** Properties that hold for any sequence of events and any policy. */
import fc from 'fast-check';
import t from 'tap';
import type { Outcome } from '../../../../agent/providers/publisher.ts';
import {
  candidates,
  deadlineMs,
  initialState,
  type RoutingEvent,
  type RoutingState,
  sharesOf,
  transition,
} from '../../../../agent/routing/core/core.ts';
import { isHeldFirmly } from '../../../../agent/routing/core/eligibility.ts';
import { ASKED_PAUSE_MS_MAX } from '../../../../agent/routing/core/health.ts';
import { type Policy, policySchema } from '../../../../shared/policy/policy.ts';
import { deepFreeze, facts } from './world.ts';

const REGIONS = ['eu-west-1', 'westeurope', 'us-west-2', 'asia-southeast1', 'nowhere'];
const ZONES: Record<string, string[]> = { eu: ['eu-west-1', 'westeurope'], us: ['us-west-2'] };
const NAMES = ['a', 'b', 'c', 'd'];

const policies: fc.Arbitrary<Policy> = fc
  .record({
    zone: fc.constantFrom(undefined, 'eu', 'us'),
    redundancy: fc.integer({ min: 1, max: 3 }),
    preferred: fc.shuffledSubarray(NAMES),
    certifications: fc.subarray(['ISO 27001', 'GDPR']),
    form: fc.constantFrom('default', 'reference'),
    failures: fc.integer({ min: 1, max: 4 }),
    probes: fc.integer({ min: 1, max: 3 }),
    dwell: fc.constantFrom('0s', '1s', '10s'),
    mode: fc.constantFrom('failover', 'split'),
  })
  .map(({ zone, redundancy, preferred, certifications, form, failures, probes, dwell, mode }) =>
    policySchema.parse({
      streams: {
        zoned: {
          topics: ['z/#'],
          redundancy,
          preferred_providers: preferred,
          ...(zone && { data_residency: zone }),
        },
        telemetry: { topics: ['#'], mode, preferred_providers: preferred },
      },
      compliance: { required_certifications: certifications, data_residency: ZONES },
      scoring: { form },
      failover: { failures_to_open: failures, probes_to_close: probes, dwell },
    }),
  );

const providers = fc.tuple(
  ...NAMES.map((name) =>
    fc
      .record({
        type: fc.constantFrom('aws' as const, 'azure' as const, 'gcp' as const, 'mqtt' as const),
        region: fc.constantFrom(...REGIONS),
        enabled: fc.boolean(),
        certifications: fc.subarray(['ISO 27001', 'GDPR']),
      })
      .map((drawn) => facts(name, drawn)),
  ),
);

const outcomes: fc.Arbitrary<Outcome> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Outcome>({ kind: 'accepted' }) },
  fc.constantFrom<Outcome>(
    { kind: 'retryable', cause: 'connection-refused', detail: '' },
    { kind: 'retryable', cause: 'server-error', detail: '' },
    { kind: 'throttled', retryAfterMs: null, detail: '' },
    { kind: 'throttled', retryAfterMs: 4000, detail: '' },
    { kind: 'rejected', scope: 'envelope', cause: 'invalid', detail: '' },
    { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail: '' },
    { kind: 'unknown', cause: 'deadline', detail: '' },
  ),
);

const provider = fc.constantFrom(...NAMES, 'unknown');
const reason = fc.constantFrom('manual' as const, 'quota' as const);

const events: fc.Arbitrary<RoutingEvent> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('published' as const),
      provider,
      outcome: outcomes,
      latencyMs: fc.integer({ min: 0, max: 3000 }),
      bytes: fc.integer({ min: 0, max: 131_072 }),
      probe: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.constant<RoutingEvent>({ kind: 'tick' }) },
  fc.record({ kind: fc.constant('hold' as const), provider, reason }),
  fc.record({ kind: fc.constant('release' as const), provider, reason }),
  fc.record({
    kind: fc.constant('usage' as const),
    provider,
    unitsThisMonth: fc.nat(2_000_000_000),
    quotaUsed: fc.option(fc.double({ min: 0, max: 1.2, noNaN: true })),
  }),
  fc.record({
    kind: fc.constant('cut' as const),
    provider,
    cut: fc.constantFrom('late' as const, 'unanswered' as const),
  }),
  fc.record({
    kind: fc.constant('receipts' as const),
    lags: fc.array(fc.record({ provider, lagMs: fc.option(fc.integer({ min: 0, max: 20_000 })) }), {
      maxLength: 3,
    }),
  }),
  policies.map((policy) => ({ kind: 'policy' as const, policy })),
);

const runs = fc.array(fc.tuple(fc.integer({ min: 0, max: 3000 }), events), { maxLength: 80, size: 'max' });

/** Runs the events, freezing every state first (I11), and shows each new state to `see`. */
function play(
  first: RoutingState,
  steps: ReadonlyArray<[number, RoutingEvent]>,
  see: (state: RoutingState) => void,
): RoutingState {
  let state = first;
  let nowMs = first.nowMs;
  see(state);
  for (const [gapMs, event] of steps) {
    nowMs += gapMs;
    deepFreeze(state);
    state = transition(state, event, nowMs).state;
    see(state);
  }
  return state;
}

function mayServe(state: RoutingState, stream: string, name: string): boolean {
  const facts = state.providers.find((provider) => provider.facts.name === name)?.facts;
  if (!facts?.enabled) return false;
  const zone = state.policy.streams[stream]?.data_residency;
  const inside = zone === undefined || (ZONES[zone]?.includes(facts.region) ?? false);
  return (
    inside && state.policy.compliance.required_certifications.every((c) => facts.certifications.includes(c))
  );
}

t.test(
  'candidates: never outside the zone or without a certification (I4), held, broken, excluded or twice (SPEC 1)',
  (t) => {
    fc.assert(
      fc.property(
        policies,
        providers,
        runs,
        fc.subarray(NAMES),
        fc.nat(),
        (policy, facts, steps, excluded, turn) => {
          const exclude = new Set(excluded);
          play(initialState(policy, facts, 0), steps, (state) => {
            for (const stream of ['zoned', 'telemetry']) {
              const found = candidates(state, stream, exclude, turn);
              if (new Set(found).size !== found.length) throw new Error('twice');
              for (const name of found) {
                if (exclude.has(name)) throw new Error(`${name} is excluded`);
                if (!mayServe(state, stream, name)) throw new Error(`${name} may not serve ${stream}`);
                const known = state.providers.find((provider) => provider.facts.name === name);
                if (!known || isHeldFirmly(known)) throw new Error(`${name} is on hold`);
                if (known.health.kind === 'open' || known.health.kind === 'probing')
                  throw new Error(`${name} is broken`);
              }
              const chosen = state.streams.find(({ name }) => name === stream)?.chosen;
              const all = candidates(state, stream, new Set());
              const shares = sharesOf(state, stream);
              if (chosen && shares.length === 1 && shares[0]?.provider === chosen && all[0] !== chosen)
                throw new Error('the chosen one is not first');
              const whole = shares.reduce((sum, { part }) => sum + part, 0);
              if (all.length > 0 && Math.abs(whole - 1) > 1e-9) throw new Error(`shares of ${whole}`);
              if (!shares.every(({ provider }) => all.includes(provider)))
                throw new Error('a share for nobody');
            }
          });
        },
      ),
      { numRuns: 150 },
    );
    t.end();
  },
);

t.test(
  'every eligible provider is a candidate, those whose receipts are late only for want of others (SPEC 2, 21)',
  (t) => {
    fc.assert(
      fc.property(policies, providers, runs, (policy, facts, steps) => {
        play(initialState(policy, facts, 0), steps, (state) => {
          const usable = state.providers.filter(
            (one) =>
              mayServe(state, 'zoned', one.facts.name) &&
              !isHeldFirmly(one) &&
              ['healthy', 'degraded'].includes(one.health.kind),
          );
          const inTime = usable.filter(({ holds }) => holds.length === 0);
          const copies = state.policy.streams['zoned']?.redundancy ?? 1;
          const expected = (inTime.length >= copies ? inTime : usable).map(({ facts: { name } }) => name);
          const found = candidates(state, 'zoned', new Set());
          if (found.length !== expected.length || !found.every((name) => expected.includes(name)))
            throw new Error(`${found}, not ${expected}`);
        });
      }),
      { numRuns: 100 },
    );
    t.end();
  },
);

t.test('the same events make the same states, and the input is never changed (I11) (SPEC 15)', (t) => {
  fc.assert(
    fc.property(policies, providers, runs, (policy, facts, steps) => {
      const ignore = (): void => undefined;
      const first = play(initialState(policy, facts, 0), steps, ignore);
      const second = play(initialState(policy, facts, 0), steps, ignore);
      t.same(first, second);
    }),
    { numRuns: 40 },
  );
  t.end();
});

t.test(
  'deadlines stay within the policy, pauses within open_max, memory within its bounds (I10) (SPEC 14)',
  (t) => {
    fc.assert(
      fc.property(policies, providers, runs, fc.nat(1_000_000), (policy, facts, steps, bytes) => {
        play(initialState(policy, facts, 0), steps, (state) => {
          const { failover } = state.policy;
          for (const { facts, health, window, opensMs, receiptLag } of state.providers) {
            const ms = deadlineMs(state, facts.name, bytes);
            if (ms < failover.deadline_min || ms > failover.deadline_max) throw new Error(`deadline ${ms}`);
            if (health.kind === 'open' && health.untilMs > state.nowMs + pauseMaxMs(failover))
              throw new Error('pause');
            if (window.samples.length > 128 || opensMs.length > 16) throw new Error('memory');
            if (receiptLag.holdsMs.length > 8) throw new Error('memory');
          }
        });
      }),
      { numRuns: 100 },
    );
    t.end();
  },
);

t.test(
  'from any state, working providers are all healthy again within open_max and their probes (SPEC 9)',
  (t) => {
    fc.assert(
      fc.property(policies, providers, runs, (policy, facts, steps) => {
        let state = play(initialState(policy, facts, 0), steps, () => undefined);
        let nowMs = state.nowMs;
        const { failover } = state.policy;
        const endMs =
          nowMs + pauseMaxMs(failover) + failover.deadline_max + 1000 + failover.probes_to_close * 400;
        while (nowMs < endMs) {
          nowMs += 100;
          const step = transition(state, { kind: 'tick' }, nowMs);
          state = step.state;
          for (const effect of step.effects) {
            if (effect.kind !== 'probe') continue;
            const outcome: Outcome = { kind: 'accepted' };
            const probed = {
              kind: 'published' as const,
              provider: effect.provider,
              outcome,
              bytes: 200,
              probe: true,
            };
            state = transition(state, { ...probed, latencyMs: 20 }, nowMs).state;
          }
        }
        for (const { facts, health, holds } of state.providers) {
          const used =
            holds.length === 0 && ['zoned', 'telemetry'].some((name) => mayServe(state, name, facts.name));
          if (used && health.kind !== 'healthy' && health.kind !== 'degraded') throw new Error(health.kind);
        }
      }),
      { numRuns: 40 },
    );
    t.end();
  },
);

function pauseMaxMs({ open_max: openMaxMs }: Policy['failover']): number {
  return Math.max(openMaxMs, ASKED_PAUSE_MS_MAX);
}
