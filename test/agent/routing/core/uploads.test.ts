/** Single large records that miss their deadline on a thin uplink. */
import t from 'tap';
import type { Outcome } from '../../../../agent/providers/publisher.ts';
import {
  deadlineMs,
  initialState,
  isLarge,
  providerStatus,
  type RoutingEvent,
  type RoutingState,
  transition,
  uploadMs,
} from '../../../../agent/routing/core/core.ts';
import { facts, policyOf } from './world.ts';

const MISSED: Outcome = { kind: 'unknown', cause: 'deadline', detail: 'no answer' };
const ACCEPTED: Outcome = { kind: 'accepted' };
const START = initialState(policyOf({ failover: { upload_max: '60s' } }), [facts('aws')], 0);

function published(outcome: Outcome, rest: Partial<Extract<RoutingEvent, { kind: 'published' }>> = {}) {
  const event = { outcome, latencyMs: 20, bytes: 100_000, probe: false, ...rest };
  return { kind: 'published', provider: 'aws', ...event } as const;
}

function after(state: RoutingState, events: readonly RoutingEvent[], stepMs = 10): RoutingState {
  return events.reduce((before, event) => transition(before, event, before.nowMs + stepMs).state, state);
}

const healthOf = (state: RoutingState) => providerStatus(state).map(({ health }) => health);

t.test('the next try has twice the time, and that of its bytes, up to upload_max (SPEC 26)', (t) => {
  t.equal(uploadMs(START, 32_000, 3000), 6000);
  t.equal(uploadMs(START, 640_000, 3000), 13_000, 'at 64 KB/s');
  t.equal(uploadMs(START, 10_000_000, 3000), 60_000);
  t.equal(uploadMs(START, 32_000, 60_000), 60_000, 'no more than the longest');
  t.equal(uploadMs(initialState(policyOf({ failover: { upload_max: '1s' } }), [], 0), 1, 3000), 3000);
  t.equal(isLarge(START, 8000), false);
  t.equal(isLarge(START, 8001), true, 'twice a live envelope');
  t.end();
});

t.test('its miss is no failure: a probe goes out at once, and tells (SPEC 26)', (t) => {
  const proven = after(START, [published(ACCEPTED, { bytes: 100 }), published(ACCEPTED, { bytes: 100 })]);
  const missed = after(
    proven,
    Array.from({ length: 20 }, () => published(MISSED, { means: 'ask' })),
  );
  t.same(healthOf(missed), ['healthy']);
  const { effects } = transition(missed, { kind: 'tick' }, missed.nowMs + 10);
  const probes = (of: typeof effects) => of.filter(({ kind }) => kind === 'probe');
  t.match(probes(effects), [{ provider: 'aws' }]);
  const usual = transition(proven, { kind: 'tick' }, proven.nowMs + 10);
  t.same(probes(usual.effects), [], 'without a miss none is due');
  const failed = after(missed, [published(MISSED), published(MISSED)]);
  t.same(healthOf(failed), ['open'], 'any other miss counts');
  t.end();
});

t.test('what it took in the end is no measure of the provider (SPEC 26)', (t) => {
  const quick = Array.from({ length: 30 }, () => published(ACCEPTED, { bytes: 100 }));
  const usual = after(START, quick);
  const long = after(usual, [published(ACCEPTED, { latencyMs: 40_000, bytes: 1_000_000 })]);
  t.equal(deadlineMs(long, 'aws'), deadlineMs(usual, 'aws'));
  t.same(healthOf(long), ['healthy']);
  t.end();
});
