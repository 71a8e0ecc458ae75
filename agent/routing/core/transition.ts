/** The routing core's single step (I11): no clock, no randomness, no I/O; it never changes its input. */
import type { Policy, ProviderFacts } from '../../../shared/policy/policy.ts';
import type { Cut, Outcome } from '../../providers/publisher.ts';
import { type Assessment, assess } from './assess.ts';
import { choose, type Occasion, rank } from './choose.ts';
import { deadlineMs } from './deadline.ts';
import { servesAnyStream } from './eligibility.ts';
import type { HealthKind } from './health.ts';
import { savedUp } from './hedge.ts';
import { type RoutingMemory, recalledProvider, recalledStream } from './memory.ts';
import { probeDue, probeSent } from './probes.ts';
import { afterTick, afterTry, cutOff, held, lagged, type Meaning, released, used } from './provider.ts';
import { type HealthReason, type HoldReason, OWN_HOLDS, type SwitchReason } from './reasons.ts';
import { leavingAfter, sharesOf } from './shares.ts';
import {
  newProvider,
  newStream,
  type ProviderState,
  type RoutingState,
  type StreamState,
  streamNamed,
} from './state.ts';

/** Holds that are set and ended outside of the core. */
type OutsideHold = Exclude<HoldReason, (typeof OWN_HOLDS)[number]>;

export type RoutingEvent =
  /** A try ended. `latencyMs` is its whole duration, also for a failure. */
  | {
      kind: 'published';
      provider: string;
      outcome: Outcome;
      latencyMs: number;
      bytes: number;
      probe: boolean;
      means?: Meaning | undefined;
    }
  /** About every 100 ms: pauses end, probes fall due, scores are compared. */
  | { kind: 'tick' }
  | { kind: 'hold'; provider: string; reason: OutsideHold }
  | { kind: 'release'; provider: string; reason: OutsideHold }
  /**
   * The provider's billed units of this month, which decide the price tier of the next envelope. `quotaUsed`:
   * used share of this UTC day's quota; null without a quota.
   */
  | { kind: 'usage'; provider: string; unitsThisMonth: number; quotaUsed: number | null }
  /** The provider ended a connection after a publish was sent over it. */
  | { kind: 'cut'; provider: string; cut: Cut }
  /** An envelope went to a second provider because the first did not answer within its hedge delay. */
  | { kind: 'hedged' }
  /** Whether the month's budget runs short. */
  | { kind: 'thrift'; on: boolean }
  /** The state from before a restart, `elapsedMs` old. */
  | { kind: 'restored'; memory: RoutingMemory; elapsedMs: number }
  /** The lags of all providers at once, because it matters whether the others are late too. */
  | { kind: 'receipts'; lags: readonly ProviderLag[] }
  | { kind: 'policy'; policy: Policy };

interface ProviderLag {
  readonly provider: string;
  /** Age of the oldest record that the provider acknowledged and no receipt covers; null without one. */
  readonly lagMs: number | null;
}

export type Effect =
  /** Publish a heartbeat envelope at the provider. */
  | { kind: 'probe'; provider: string; deadlineMs: number }
  | { kind: 'switch'; stream: string; from: string | null; to: string | null; reason: SwitchReason }
  | { kind: 'health'; provider: string; from: HealthKind; to: HealthKind; reason: HealthReason }
  /** A hold of the core begins or ends. */
  | { kind: 'hold'; provider: string; reason: HoldReason; begins: boolean };

export interface Step {
  state: RoutingState;
  effects: Effect[];
}

/**
 * All enabled providers start as healthy, so that the first envelope does not wait for a probe. The first
 * event makes the choice and reports it; until then {@link candidates} answers by preference and score.
 */
export function initialState(
  policy: Policy,
  providers: readonly ProviderFacts[],
  nowMs: number,
): RoutingState {
  const streams = Object.entries(policy.streams).map(([name, stream]) => newStream(name, stream, nowMs));
  const state = {
    nowMs,
    policy,
    providers: providers.map((facts) => newProvider(facts, nowMs)),
    streams,
    hedgesSaved: policy.hedge.burst,
    isThrifty: false,
  };
  const ranked = streams.map((stream) => standingOf(state, stream, assess(state, stream)));
  return { ...state, streams: ranked };
}

export function transition(before: RoutingState, event: RoutingEvent, nowMs: number): Step {
  const state = { ...before, nowMs };
  switch (event.kind) {
    case 'published': {
      const hedgesSaved = event.probe ? state.hedgesSaved : savedUp(state.hedgesSaved, state.policy);
      const step = withProvider({ ...state, hedgesSaved }, event.provider, (provider) =>
        afterTry(provider, event, state.policy, nowMs),
      );
      // Scores are compared at the tick: there may be hundreds of outcomes a second.
      return step.effects.length > 0 ? reconsidered(step, { nowMs, policyChanged: false }) : step;
    }
    case 'tick':
      return ticked(state, nowMs);
    case 'hold': {
      const step = withProvider(state, event.provider, (provider) => held(provider, event.reason));
      return reconsidered(step, { nowMs, policyChanged: false });
    }
    case 'release': {
      const step = withProvider(state, event.provider, (provider) => released(provider, event.reason));
      return reconsidered(step, { nowMs, policyChanged: false });
    }
    case 'usage': {
      const step = withProvider(state, event.provider, (provider) =>
        used(provider, event.unitsThisMonth, event.quotaUsed),
      );
      return step.effects.length > 0 ? reconsidered(step, { nowMs, policyChanged: false }) : step;
    }
    case 'cut': {
      const step = withProvider(state, event.provider, (provider) => cutOff(provider, event.cut, nowMs));
      return step.effects.length > 0 ? reconsidered(step, { nowMs, policyChanged: false }) : step;
    }
    case 'hedged':
      return { state: { ...state, hedgesSaved: Math.max(0, state.hedgesSaved - 1) }, effects: [] };
    case 'thrift':
      return { state: { ...state, isThrifty: event.on }, effects: [] };
    case 'restored':
      return reconsidered(recalled(state, event.memory, event.elapsedMs), { nowMs, policyChanged: false });
    case 'receipts': {
      const step = event.lags.reduce<Step>(
        (before, { provider, lagMs }) => {
          const after = withProvider(before.state, provider, (one) =>
            lagged(one, lagMs, state.policy, nowMs),
          );
          return { state: after.state, effects: [...before.effects, ...after.effects] };
        },
        { state, effects: [] },
      );
      return step.effects.length > 0 ? reconsidered(step, { nowMs, policyChanged: false }) : step;
    }
    case 'policy':
      return reconsidered(
        { state: underPolicy(state, event.policy, nowMs), effects: [] },
        { nowMs, policyChanged: true },
      );
  }
}

function ticked(state: RoutingState, nowMs: number): Step {
  const effects: Effect[] = [];
  const providers = state.providers.map((before) => {
    const after = afterTick(before, state.policy, nowMs);
    effects.push(...healthEffects(before, after), ...ownHoldEffects(before, after));
    if (!servesAnyStream(after.facts, state.policy) || !probeDue(after, state.policy, nowMs)) return after;
    const deadline = deadlineMs(after, state.policy.failover, 0);
    effects.push({ kind: 'probe', provider: after.facts.name, deadlineMs: deadline });
    return probeSent(after, state.policy, nowMs);
  });
  return reconsidered({ state: { ...state, providers }, effects }, { nowMs, policyChanged: false });
}

function recalled(state: RoutingState, memory: RoutingMemory, elapsedMs: number): Step {
  const { policy, nowMs } = state;
  const effects: Effect[] = [];
  const providers = state.providers.map((fresh) => {
    const known = recalledProvider(fresh, memory, policy, nowMs, elapsedMs);
    effects.push(...healthEffects(fresh, known));
    return known;
  });
  const streams = state.streams.map((fresh) => {
    const known = recalledStream(fresh, memory, providers, nowMs, elapsedMs);
    if (known.chosen === fresh.chosen) return known;
    const { name, chosen: to } = known;
    effects.push({ kind: 'switch', stream: name, from: fresh.chosen, to, reason: 'restored' });
    return known;
  });
  return { state: { ...state, providers, streams }, effects };
}

/** A provider that is not configured (any more) changes nothing: its last outcomes may still arrive. */
function withProvider(
  state: RoutingState,
  name: string,
  change: (provider: ProviderState) => ProviderState,
): Step {
  const effects: Effect[] = [];
  const providers = state.providers.map((before) => {
    if (before.facts.name !== name) return before;
    const after = change(before);
    effects.push(...healthEffects(before, after), ...ownHoldEffects(before, after));
    return after;
  });
  return { state: { ...state, providers }, effects };
}

/** A stream that exists in the new policy keeps its provider; the gates are applied afterwards. */
function underPolicy(state: RoutingState, policy: Policy, nowMs: number): RoutingState {
  const streams = Object.entries(policy.streams).map(([name, stream]) => {
    const known = streamNamed(state, name);
    return known ? { ...known, policy: stream } : newStream(name, stream, nowMs);
  });
  return { ...state, policy, streams };
}

/** Recomputes every stream's choice and ranking. */
function reconsidered({ state, effects }: Step, occasion: Occasion): Step {
  const switches: Effect[] = [];
  const streams = state.streams.map((stream) => {
    const assessments = assess(state, stream);
    const choice = choose(state, stream, assessments, occasion);
    const leaving = leavingAfter(stream, choice, assessments, occasion.nowMs);
    if (!choice) return standingOf(state, { ...stream, leaving }, assessments);
    switches.push({ kind: 'switch', stream: stream.name, from: stream.chosen, ...choice });
    const started = stream.started || choice.to !== null;
    const moved = { ...stream, chosen: choice.to, sinceMs: occasion.nowMs, started, leaving };
    return standingOf(state, moved, assessments);
  });
  return { state: { ...state, streams }, effects: [...effects, ...switches] };
}

/** The stream with the ranking and shares for its chosen provider. */
function standingOf(
  state: RoutingState,
  stream: StreamState,
  assessments: readonly Assessment[],
): StreamState {
  const ranked = { ...stream, ranked: rank(state, stream, stream.chosen, assessments) };
  return { ...ranked, shares: sharesOf(state, ranked, assessments) };
}

function healthEffects(before: ProviderState, after: ProviderState): Effect[] {
  const { health } = after;
  if (health.kind === before.health.kind) return [];
  const { name } = after.facts;
  return [
    { kind: 'health', provider: name, from: before.health.kind, to: health.kind, reason: health.reason },
  ];
}

function ownHoldEffects(before: ProviderState, after: ProviderState): Effect[] {
  if (before.holds === after.holds) return [];
  return OWN_HOLDS.filter((reason) => before.holds.includes(reason) !== after.holds.includes(reason)).map(
    (reason) => ({
      kind: 'hold',
      provider: after.facts.name,
      reason,
      begins: after.holds.includes(reason),
    }),
  );
}
