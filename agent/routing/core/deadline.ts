/**
 * How long one try may take. Four times what the slow ones take now, never the SDK's 30 to 600 s: a provider
 * that went silent costs a second, not a minute.
 */
import type { Policy } from '../../../shared/policy/policy.ts';
import type { ProviderState } from './state.ts';

const LATENCY_RATIO = 4;
/**
 * The slowest uplink that is worth it (64 KiB/s): a large backlog envelope gets the time that its bytes need
 * there, or a link that is quick for heartbeats would time out on every one of them for ever.
 */
const BYTES_PER_MS = 64;

/** Milliseconds for a try of `bytes`, between the policy's bounds; the upper bound without samples. */
export function deadlineMs(provider: ProviderState, failover: Policy['failover'], bytes: number): number {
  const p99Ms = provider.window.latencyP99Ms;
  if (p99Ms === null) return failover.deadline_max;
  const roundTripMs = Math.max(LATENCY_RATIO * p99Ms, failover.deadline_min);
  return Math.min(roundTripMs + bytes / BYTES_PER_MS, failover.deadline_max);
}
