/**
 * Hedging: an envelope that a provider has not answered in the time that it usually answers in goes to the
 * next one as well (Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013). The ledger reconciles the
 * second copy, so it costs money and harms nothing; what it may cost is bounded: hedges are a share of the
 * publishes, saved up to a burst for the moment an outage begins, and there are none once the month's money
 * runs short.
 */
import type { Policy } from '../../../shared/policy/policy.ts';
import { deadlineMs } from './deadline.ts';
import type { ProviderState, RoutingState } from './state.ts';

/** At twice its p95 a provider that works is hedged in few per cent of its publishes. */
const LATENCY_RATIO = 2;
/** As for the deadline: what a slow uplink needs to carry the bytes is no fault of the provider. */
const BYTES_PER_MS = 64;

/**
 * Milliseconds after which a try of `bytes` at this provider is hedged; null: never, because hedging is off
 * or the deadline comes first. Never sooner than its p95: where that is long, one in twenty sound answers
 * takes longer.
 */
export function hedgeDelayMs(provider: ProviderState, policy: Policy, bytes: number): number | null {
  const { hedge, failover } = policy;
  if (!hedge.enabled) return null;
  const p95Ms = provider.window.latencyP95Ms;
  const usualMs = p95Ms === null ? hedge.delay_max : Math.max(LATENCY_RATIO * p95Ms, hedge.delay_min);
  const delayMs = Math.max(Math.min(usualMs, hedge.delay_max), p95Ms ?? 0) + bytes / BYTES_PER_MS;
  return delayMs < deadlineMs(provider, failover, bytes) ? delayMs : null;
}

/** Whether another hedge is within the budget. */
export function mayHedge({ policy, hedgesSaved, isThrifty }: RoutingState): boolean {
  return policy.hedge.enabled && hedgesSaved >= 1 && !isThrifty;
}

/** A publish saves up its share of a hedge. */
export function savedUp(hedgesSaved: number, { hedge }: Policy): number {
  return Math.min(hedge.burst, hedgesSaved + hedge.share);
}
