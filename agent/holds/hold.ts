/**
 * An operator's reason not to use a provider, and its end. Pure (I11).
 *
 * A hold with an end counts monotonic time (I7), so setting the clock does not end it. Monotonic time does
 * not continue over a reboot. Then wall time counts, if the clock was synchronised at the hold's beginning
 * and is synchronised now; until it is, the hold stays. With an unknown beginning, its time begins anew. So a
 * hold may end late, by the time the gateway was off, and never early.
 */

/** The gateway's present time. */
export interface Moment {
  bootId: string;
  monoMs: number;
  wallMs: number;
  synchronised: boolean;
}

export interface ManualHold {
  provider: string;
  /** The operator's text. Provider and reason identify the hold. */
  reason: string;
  since: Moment;
  /** Null for a hold without an end. */
  forMs: number | null;
}

/** Milliseconds until the hold ends, 0 when it has ended; null without an end. */
export function leftMs({ since, forMs }: ManualHold, now: Moment): number | null {
  if (forMs === null) return null;
  if (since.bootId === now.bootId) return Math.max(0, forMs - (now.monoMs - since.monoMs));
  if (!since.synchronised || !now.synchronised) return forMs;
  return Math.min(forMs, Math.max(0, forMs - (now.wallMs - since.wallMs)));
}

/** The hold as it continues when the agent starts. */
export function takenUp(hold: ManualHold, now: Moment): ManualHold {
  const isLost = hold.since.bootId !== now.bootId && !hold.since.synchronised;
  return isLost && hold.forMs !== null ? { ...hold, since: now } : hold;
}
