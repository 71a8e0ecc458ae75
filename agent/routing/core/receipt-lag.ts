/**
 * A provider that acknowledges and whose records do not reach the router (grey failure). Nothing that it
 * answers shows it; how far its receipts are behind does. It is put on hold, and let go again only after a
 * pause: without traffic nothing can show that it delivers again, so each try costs a round of records that
 * have to be sent twice. The pause doubles with each hold that follows soon.
 *
 * The hold gives way: it refuses a stream only where others are there to take it (see yields in
 * eligibility.ts). Receipts of all providers are late when the router is to blame, and then nobody is
 * refused.
 */
import { pauseCeilingMs } from '../../../shared/backoff.ts';
import type { Policy } from '../../../shared/policy/policy.ts';

export interface ReceiptLag {
  /** Age of the oldest that it acknowledged and no receipt covers, as last told; null when there is none. */
  readonly lagMs: number | null;
  /** Monotonic; null while it is not on hold. */
  readonly heldUntilMs: number | null;
  /** When it was put on hold, lately; newest last. */
  readonly holdsMs: readonly number[];
}

export const NO_RECEIPT_LAG: ReceiptLag = { lagMs: null, heldUntilMs: null, holdsMs: [] };

/** First pause; a try is one `receipt_lag` of doubt for the records that it gets. */
const PAUSES = { firstMs: 30_000, lastMs: 600_000 };
/** Holds count towards the next pause for so long. */
const MEMORY_MS = 1_800_000;
const HOLDS_KEPT = 8;
/** It is let go below this share of what puts it on hold, so that one on the edge does not swing. */
const GOOD_SHARE = 0.5;

/** The lag was measured anew; the same object when nothing changed. */
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

/** Time passed: its hold ends when its pause is over and its receipts are not late any more. */
export function afterPause(lag: ReceiptLag, failover: Policy['failover'], nowMs: number): ReceiptLag {
  if (lag.heldUntilMs === null || nowMs < lag.heldUntilMs) return lag;
  const isGood = lag.lagMs === null || lag.lagMs < failover.receipt_lag * GOOD_SHARE;
  return isGood ? { ...lag, heldUntilMs: null } : lag;
}
