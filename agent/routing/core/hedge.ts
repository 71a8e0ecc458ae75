/**
 * Hedging: an envelope that a provider has not answered in its usual time goes to the next provider as well
 * (Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013). The ledger reconciles the second copy, so a
 * hedge costs money and does no harm. The cost is bounded: hedges are a share of the publishes, saved up to a
 * burst for the beginning of an outage, and they stop when the month's budget runs short.
 */
import type { Policy } from '../../../shared/policy/policy.ts';
import { deadlineMs } from './deadline.ts';
import type { ProviderState, RoutingState } from './state.ts';

/** At twice its p95, a working provider is hedged for a few per cent of its publishes. */
const LATENCY_RATIO = 2;
/** As in the deadline: the time that a slow uplink needs for the bytes is not the provider's fault. */
const BYTES_PER_MS = 64;

/**
 * Milliseconds after which a try of `bytes` at this provider is hedged; null: never, because hedging is off
 * or the deadline comes first. Never earlier than the p95: where that is long, one in twenty good answers
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

/** Whether the budget allows another hedge. */
export function mayHedge({ policy, hedgesSaved, isThrifty }: RoutingState): boolean {
  return policy.hedge.enabled && hedgesSaved >= 1 && !isThrifty;
}

/** Adds one publish's share of a hedge. */
export function savedUp(hedgesSaved: number, { hedge }: Policy): number {
  return Math.min(hedge.burst, hedgesSaved + hedge.share);
}
