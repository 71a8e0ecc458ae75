/** Applies events to one provider's state. */
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

/** Breaker openings count as flapping for this long. */
const FLAP_MEMORY_MS = 600_000;
const FLAPS_KEPT = 16;
/** Upper bound of the flap penalty: a provider that has worked for this long gets another chance. */
const FLAP_PENALTY_MAX_MS = 300_000;
/** Weight of one sample in the typical latency. */
const TYPICAL_WEIGHT = 0.2;
/** Tries of up to this multiple of a live envelope count as live-sized. */
const LIVE_SIZE_RATIO = 2;
/** A start computed from a measured latency may be too early by this rounding error. */
const ROUNDING_MS = 1;

export interface Try {
  readonly outcome: Outcome;
  readonly latencyMs: number;
  readonly bytes: number;
  readonly probe: boolean;
  readonly means?: Meaning | undefined;
}

/**
 * The further meaning of an outcome for the provider. `ask`: nothing yet, a probe must tell; `nothing`: it is
 * told already.
 */
export type Meaning = 'ask' | 'nothing';

/** Applies the outcome of one try. */
export function afterTry(provider: ProviderState, result: Try, policy: Policy, nowMs: number): ProviderState {
  const { outcome, latencyMs, probe, means } = result;
  if (outcome.kind === 'cancelled' || means === 'nothing') return provider;
  const stale = nowMs - latencyMs < provider.staleBeforeMs - ROUNDING_MS;
  if (stale && outcome.kind !== 'accepted') return provider;
  if (means === 'ask') return { ...provider, lastTryMs: null };
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

/** Applies the passing of time: old samples leave the window, pauses end, the baseline follows. */
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

/** The provider ended a connection after a publish was sent over it; see silent-limit.ts. */
export function cutOff(provider: ProviderState, cut: Cut, nowMs: number): ProviderState {
  return limited(provider, afterCut(provider.silentLimit, cut, nowMs));
}

/** Applies the billed units: of the month, and as a share of the day's quota. */
export function used(
  provider: ProviderState,
  unitsThisMonth: number,
  quotaUsed: number | null,
): ProviderState {
  return { ...limited(provider, withQuotaUsed(provider.silentLimit, quotaUsed)), unitsThisMonth };
}

/** Sets or ends the holds that the silent limit implies. */
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
 * Ends a hold. The provider is probed at the next tick, and must prove itself again, because its state is
 * outdated.
 */
export function released(provider: ProviderState, reason: HoldReason): ProviderState {
  if (!provider.holds.includes(reason)) return provider;
  const holds = provider.holds.filter((other) => other !== reason);
  return { ...provider, holds, lastTryMs: null, proven: false };
}

/** Applies the measured receipt lag; see receipt-lag.ts. */
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
 * Time beyond the dwell that a provider must have been healthy before traffic returns to it. 0 for the first
 * opening within ten minutes; doubles with each further one.
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

/** Degrades or restores the provider by the signs in the window. */
function judged(provider: ProviderState, policy: Policy, nowMs: number): ProviderState {
  const signs = isUp(provider.health) ? signsOf(provider.window, provider.baseline) : null;
  return signs ? moveHealth(provider, signs, policy, nowMs) : provider;
}

/** Applies the consequences of a new health state. */
function entered(provider: ProviderState, health: Health, nowMs: number): ProviderState {
  if (health === provider.health) return provider;
  if (health.kind === 'open') {
    // A failed probe continues an outage that is counted already.
    const flap = isUp(provider.health);
    const recent = provider.opensMs.filter((atMs) => nowMs - atMs < FLAP_MEMORY_MS).slice(1 - FLAPS_KEPT);
    // A provider that refuses or throttles ends this itself; plain failures may be packet loss that two
    // probes pass by luck.
    const onTrial = provider.onTrial || health.reason === 'failures';
    return { ...provider, health, onTrial, opensMs: flap ? [...recent, nowMs] : provider.opensMs };
  }
  if (provider.health.kind === 'open') {
    // Samples from before the outage say nothing about the path after it; nor do tries that began before.
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
  const live = probe || isLiveSize(bytes, policy);
  // An upload that got more than a deadline measures the uplink.
  if (verdict === 'accepted' && !live && latencyMs > policy.failover.deadline_max) return provider;
  const sample: Sample = { atMs: nowMs, latencyMs, bytes, verdict, live };
  const typical = provider.typicalLatencyMs;
  const follows = verdict === 'accepted' && live;
  return {
    ...provider,
    window: withSample(provider.window, sample),
    typicalLatencyMs: follows ? typical + TYPICAL_WEIGHT * (latencyMs - typical) : typical,
  };
}

/** Whether an envelope of `bytes` has the size of a live one. */
export function isLiveSize(bytes: number, { streams }: Policy): boolean {
  const largest = Math.max(...Object.values(streams).map(({ envelope_bytes }) => envelope_bytes));
  return bytes <= LIVE_SIZE_RATIO * largest;
}
