/**
 * Deadline of one try: four times the present latency of the slow answers, never the SDK's 30 to 600 s. So a
 * silent provider costs a second, not a minute.
 */
import type { Policy } from '../../../shared/policy/policy.ts';
import type { ProviderState } from './state.ts';

const LATENCY_RATIO = 4;
/**
 * The slowest supported uplink (64 KiB/s). A large backlog envelope gets the time that its bytes need there;
 * otherwise a link that is fast for heartbeats would time out on every such envelope.
 */
const BYTES_PER_MS = 64;

/** Milliseconds for a try of `bytes`, between the policy's bounds; the upper bound without samples. */
export function deadlineMs(provider: ProviderState, failover: Policy['failover'], bytes: number): number {
  const p99Ms = provider.window.latencyP99Ms;
  if (p99Ms === null) return failover.deadline_max;
  const roundTripMs = Math.max(LATENCY_RATIO * p99Ms, failover.deadline_min);
  return Math.min(roundTripMs + bytes / BYTES_PER_MS, failover.deadline_max);
}

/**
 * Milliseconds for the next try of a record of `bytes` that was not accepted in `missedMs`: twice as long,
 * and at least the time of its bytes on the slowest supported uplink, up to `upload_max`.
 */
export function uploadMs(failover: Policy['failover'], bytes: number, missedMs: number): number {
  const wantedMs = Math.max(2 * missedMs, missedMs + bytes / BYTES_PER_MS);
  return Math.min(wantedMs, Math.max(failover.upload_max, failover.deadline_max));
}
