/** What events do to one provider's state. */
import type { Policy } from '../../../shared/policy/policy.ts';
import type { Cut, Outcome } from '../../providers/publisher.ts';
import { type Health, type HealthEventKind, isUp, nextHealth } from './health.ts';
import { healthEventOf, verdictOf } from './outcome.ts';
import type { HoldReason } from './reasons.ts';
import { afterPause, withLag } from './receipt-lag.ts';
import { nextBaseline, passesTrial, signsOf } from './signs.ts';
import {
  afterAcceptance,
  afterCut,
  afterLimitPause,
  type SilentLimit,
  withQuotaUsed,
} from './silent-limit.ts';
import type { ProviderState } from './state.ts';
import { EMPTY_WINDOW, pruned, type Sample, withSample } from './window.ts';

/** Breaker openings count as flapping this long. */
const FLAP_MEMORY_MS = 600_000;
const FLAPS_KEPT = 16;
/** However bad it was, a provider that has worked this long is given another chance. */
const FLAP_PENALTY_MAX_MS = 300_000;
/** Weight of one sample in the typical latency. */
const TYPICAL_WEIGHT = 0.2;
/** Tries of up to this multiple of a live envelope count as live-sized. */
const LIVE_SIZE_RATIO = 2;
/** A start computed from a measured latency may seem this much too early. */
const ROUNDING_MS = 1;

export interface Try {
  readonly outcome: Outcome;
  readonly latencyMs: number;
  readonly bytes: number;
  readonly probe: boolean;
}

/** The outcome of one try is in. */
export function afterTry(provider: ProviderState, result: Try, policy: Policy, nowMs: number): ProviderState {
  const { outcome, latencyMs, probe } = result;
  if (outcome.kind === 'cancelled') return provider;
  const stale = nowMs - latencyMs < provider.staleBeforeMs - ROUNDING_MS;
  if (stale && outcome.kind !== 'accepted') return provider;
  const event = healthEventOf(outcome, probe);
  if (event === null) return provider;
  const heard: ProviderState = {
    ...provider,
    lastTryMs: nowMs,
    probeSentMs: probe ? null : provider.probeSentMs,
    silentLimit: outcome.kind === 'accepted' ? afterAcceptance(provider.silentLimit) : provider.silentLimit,
  };
  const retryAfterMs = outcome.kind === 'throttled' ? outcome.retryAfterMs : null;
  const moved = moveHealth(heard, event, policy, nowMs, retryAfterMs);
  const counted = measured(moved, event, result, policy, nowMs);
  const passed = isUp(counted.health) && passesTrial(counted.window, nowMs - counted.health.sinceMs);
  const onTrial = counted.onTrial && !passed;
  return judged({ ...counted, onTrial }, policy, nowMs);
}

/** Time passes: old samples leave the window, pauses end, the baseline follows. */
export function afterTick(provider: ProviderState, policy: Policy, nowMs: number): ProviderState {
  const window = pruned(provider.window, nowMs);
  const baseline = nextBaseline(provider.baseline, window, nowMs);
  const unchanged = window === provider.window && baseline === provider.baseline;
  const aged = unchanged ? provider : { ...provider, window, baseline };
  return judged(moveHealth(unpaused(aged, policy, nowMs), 'time', policy, nowMs), policy, nowMs);
}

function unpaused(provider: ProviderState, policy: Policy, nowMs: number): ProviderState {
  const rested = limited(provider, afterLimitPause(provider.silentLimit, nowMs));
  const receiptLag = afterPause(rested.receiptLag, policy.failover, nowMs);
  return receiptLag === rested.receiptLag ? rested : released({ ...rested, receiptLag }, 'receipt-lag');
}

/** It ended a connection over which something was sent; see silent-limit.ts. */
export function cutOff(provider: ProviderState, cut: Cut, nowMs: number): ProviderState {
  return limited(provider, afterCut(provider.silentLimit, cut, nowMs));
}

/** What it billed: of the month, and as a share of its day's quota. */
export function used(
  provider: ProviderState,
  unitsThisMonth: number,
  quotaUsed: number | null,
): ProviderState {
  return { ...limited(provider, withQuotaUsed(provider.silentLimit, quotaUsed)), unitsThisMonth };
}

/** The hold follows what is inferred. */
function limited(provider: ProviderState, silentLimit: SilentLimit): ProviderState {
  const before = provider.silentLimit.hold;
  const { hold } = silentLimit;
  const inferred = { ...provider, silentLimit };
  if (hold === before) return silentLimit === provider.silentLimit ? provider : inferred;
  const freed = before === null ? inferred : released(inferred, before.reason);
  return hold === null ? freed : held(freed, hold.reason);
}

export function held(provider: ProviderState, reason: HoldReason): ProviderState {
  if (provider.holds.includes(reason)) return provider;
  return { ...provider, holds: [...provider.holds, reason] };
}

/**
 * A released provider is probed at the next tick, and must prove itself again: what was known of it is old.
 */
export function released(provider: ProviderState, reason: HoldReason): ProviderState {
  if (!provider.holds.includes(reason)) return provider;
  const holds = provider.holds.filter((other) => other !== reason);
  return { ...provider, holds, lastTryMs: null, proven: false };
}

/** How far its receipts are behind was measured; see receipt-lag.ts. */
export function lagged(
  provider: ProviderState,
  lagMs: number | null,
  policy: Policy,
  nowMs: number,
): ProviderState {
  const receiptLag = withLag(provider.receiptLag, lagMs, policy.failover, nowMs);
  if (receiptLag === provider.receiptLag) return provider;
  const measured = { ...provider, receiptLag };
  return receiptLag.heldUntilMs === null ? measured : held(measured, 'receipt-lag');
}

/**
 * How much longer than the dwell a provider must have been healthy before traffic returns to it. Doubles with
 * each opening within ten minutes, from nothing for the first one.
 */
export function flapPenaltyMs(provider: ProviderState, failover: Policy['failover'], nowMs: number): number {
  const flaps = provider.opensMs.filter((atMs) => nowMs - atMs < FLAP_MEMORY_MS).length;
  if (flaps === 0) return 0;
  const unitMs = Math.max(failover.dwell, failover.open_for);
  return Math.min(unitMs * (2 ** (flaps - 1) - 1), FLAP_PENALTY_MAX_MS);
}

function moveHealth(
  provider: ProviderState,
  event: HealthEventKind,
  policy: Policy,
  nowMs: number,
  retryAfterMs: number | null = null,
): ProviderState {
  const context = { nowMs, failover: policy.failover, retryAfterMs };
  const moved = entered(provider, nextHealth(provider.health, event, context), nowMs);
  return event === 'accepted' && !moved.proven ? { ...moved, proven: true } : moved;
}

/** Lets the signs in the window degrade or acquit it. */
function judged(provider: ProviderState, policy: Policy, nowMs: number): ProviderState {
  const signs = isUp(provider.health) ? signsOf(provider.window, provider.baseline) : null;
  return signs ? moveHealth(provider, signs, policy, nowMs) : provider;
}

/** What goes with a change of state. */
function entered(provider: ProviderState, health: Health, nowMs: number): ProviderState {
  if (health === provider.health) return provider;
  if (health.kind === 'open') {
    // A failed probe goes on with the outage that is counted already.
    const flap = isUp(provider.health);
    const recent = provider.opensMs.filter((atMs) => nowMs - atMs < FLAP_MEMORY_MS).slice(1 - FLAPS_KEPT);
    // Who refuses or throttles says when it is over; mere failures may be a loss that two probes pass
    // through.
    const onTrial = provider.onTrial || health.reason === 'failures';
    return { ...provider, health, onTrial, opensMs: flap ? [...recent, nowMs] : provider.opensMs };
  }
  if (provider.health.kind === 'open') {
    // What the path was like before the outage says nothing of the path after it; nor do tries that began
    // before.
    return { ...provider, health, window: EMPTY_WINDOW, staleBeforeMs: nowMs, probeSentMs: null };
  }
  return { ...provider, health };
}

function measured(
  provider: ProviderState,
  event: HealthEventKind,
  { latencyMs, bytes, probe }: Try,
  policy: Policy,
  nowMs: number,
): ProviderState {
  const verdict = verdictOf(event);
  if (!verdict) return provider;
  const live = probe || bytes <= LIVE_SIZE_RATIO * largestLiveBytes(policy);
  const sample: Sample = { atMs: nowMs, latencyMs, bytes, verdict, live };
  const typical = provider.typicalLatencyMs;
  const follows = verdict === 'accepted' && live;
  return {
    ...provider,
    window: withSample(provider.window, sample),
    typicalLatencyMs: follows ? typical + TYPICAL_WEIGHT * (latencyMs - typical) : typical,
  };
}

function largestLiveBytes(policy: Policy): number {
  return Math.max(...Object.values(policy.streams).map(({ envelope_bytes }) => envelope_bytes));
}
