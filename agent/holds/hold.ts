/**
 * One reason of an operator not to use a provider, and when it ends. Pure (I11).
 *
 * A hold with an end counts monotonic time (I7), so that a clock that is set does not end it. Over a reboot
 * there is none: then wall time counts, if the clock was right at its beginning and is right now, and until
 * it is, the hold stays. Where the beginning is not known, its time begins anew. So a hold may end late, by
 * the time a gateway was off, and never early.
 */

/** What the gateway knows of the time. */
export interface Moment {
  bootId: string;
  monoMs: number;
  wallMs: number;
  synchronised: boolean;
}

export interface ManualHold {
  provider: string;
  /** What the operator said; with the provider, its name. */
  reason: string;
  since: Moment;
  /** Null for one that ends by hand alone. */
  forMs: number | null;
}

/** Milliseconds until it ends, 0 when it is over; null when it ends by hand alone. */
export function leftMs({ since, forMs }: ManualHold, now: Moment): number | null {
  if (forMs === null) return null;
  if (since.bootId === now.bootId) return Math.max(0, forMs - (now.monoMs - since.monoMs));
  if (!since.synchronised || !now.synchronised) return forMs;
  return Math.min(forMs, Math.max(0, forMs - (now.wallMs - since.wallMs)));
}

/** As it goes on at the start of an agent. */
export function takenUp(hold: ManualHold, now: Moment): ManualHold {
  const isLost = hold.since.bootId !== now.bootId && !hold.since.synchronised;
  return isLost && hold.forMs !== null ? { ...hold, since: now } : hold;
}
