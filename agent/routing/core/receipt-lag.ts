/**
 * Detects a provider that acknowledges records which do not reach the router (grey failure). Its answers do
 * not reveal this; its receipt lag does. The provider is put on hold, and released only after a pause:
 * without traffic, recovery cannot be observed, so each attempt costs a round of records that must be sent
 * twice. The pause doubles with each hold that follows soon.
 *
 * The hold yields: it refuses a stream only where enough others may take it (see yields in eligibility.ts).
 * When the router is at fault, the receipts of all providers are late, and then no provider is refused.
 */
import { pauseCeilingMs } from '../../../shared/backoff.ts';
import type { Policy } from '../../../shared/policy/policy.ts';

export interface ReceiptLag {
  /**
   * Age of the oldest record that the provider acknowledged and no receipt covers, as last reported; null
   * without one.
   */
  readonly lagMs: number | null;
  /** Monotonic milliseconds; null while the provider is not on hold. */
  readonly heldUntilMs: number | null;
  /** Times of recent holds, newest last. */
  readonly holdsMs: readonly number[];
}

export const NO_RECEIPT_LAG: ReceiptLag = { lagMs: null, heldUntilMs: null, holdsMs: [] };

/**
 * Pauses of the hold. During an attempt after it, the provider's records are in doubt for one `receipt_lag`.
 */
const PAUSES = { firstMs: 30_000, lastMs: 600_000 };
/** Holds count towards the next pause for this long. */
const MEMORY_MS = 1_800_000;
const HOLDS_KEPT = 8;
/** The hold ends below this share of the lag that starts it, to prevent oscillation. */
const GOOD_SHARE = 0.5;

/** Applies a measured lag; returns the same object when nothing changed. */
export function withLag(
  lag: ReceiptLag,
  lagMs: number | null,
  failover: Policy['failover'],
  nowMs: number,
): ReceiptLag {
  if (lagMs === lag.lagMs) return lag;
  const measured = { ...lag, lagMs };
  if (lag.heldUntilMs !== null || lagMs === null || lagMs < failover.receipt_lag) return measured;
  const recent = lag.holdsMs.filter((atMs) => nowMs - atMs < MEMORY_MS).slice(1 - HOLDS_KEPT);
  const pauseMs = pauseCeilingMs(PAUSES, recent.length + 1);
  return { ...measured, heldUntilMs: nowMs + pauseMs, holdsMs: [...recent, nowMs] };
}

/** Ends the hold when its pause is over and the receipts are not late any more. */
export function afterPause(lag: ReceiptLag, failover: Policy['failover'], nowMs: number): ReceiptLag {
  if (lag.heldUntilMs === null || nowMs < lag.heldUntilMs) return lag;
  const isGood = lag.lagMs === null || lag.lagMs < failover.receipt_lag * GOOD_SHARE;
  return isGood ? { ...lag, heldUntilMs: null } : lag;
}
