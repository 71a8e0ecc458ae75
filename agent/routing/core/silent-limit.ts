/**
 * Limits that a provider enforces without a word. An IoT Hub over MQTT has no answer for "too fast" or "your
 * quota is used up": it acknowledges later and later, then cuts the connection, and lets the device connect
 * again at once (azure-iot-sdk-node#501, azure-iot-sdk-java#377). So both are inferred, from the cuts that
 * the publisher sees:
 *
 * - A cut soon after a late acknowledgement is traffic shaping: `throttled`.
 * - Cuts without any acknowledgement are either. A hub that throttles still takes what its limit allows; a
 *   hub whose quota is used up takes nothing until the UTC day is over: `quota-exhausted` when our own count
 *   is far enough for it, or when pause after pause nothing was accepted (others use up a shared hub's quota
 *   too).
 *
 * Each is a hold, because every try meanwhile costs a connection, and counts against the very limit. It ends
 * with its pause; that of the quota also when the count of the day begins anew.
 */
import { pauseCeilingMs } from '../../../shared/backoff.ts';
import type { Cut } from '../../providers/publisher.ts';

export type LimitReason = 'throttled' | 'quota-exhausted';

export interface SilentLimit {
  readonly hold: { readonly reason: LimitReason; readonly untilMs: number } | null;
  /** Cuts soon after a late acknowledgement, lately; newest last. */
  readonly lateCutsMs: readonly number[];
  /** Connections in a row cut without an answer, since it last accepted something. */
  readonly unanswered: number;
  /** When it was held as throttled, lately; newest last. */
  readonly throttledMs: readonly number[];
  /** Holds since it last accepted something. */
  readonly inVain: number;
  /** Share of the day's quota that our own count has used; null when it has none. */
  readonly quotaUsed: number | null;
}

export const NO_SILENT_LIMIT: SilentLimit = {
  hold: null,
  lateCutsMs: [],
  unanswered: 0,
  throttledMs: [],
  inVain: 0,
  quotaUsed: null,
};

/** One may be the network's. */
const LATE_CUTS = 2;
const LATE_CUTS_MEMORY_MS = 60_000;
/** A path that loses connections cuts now and then, and not four in a row with nothing between them. */
const UNANSWERED_CUTS = 4;
/** As the vendor's own SDK waits when an AMQP or HTTPS hub says that it throttles: from 10 s to 60 s. */
const THROTTLED_PAUSES = { firstMs: 10_000, lastMs: 60_000 };
/** Earlier holds count towards the next pause for so long. */
const THROTTLED_MEMORY_MS = 600_000;
const THROTTLED_KEPT = 8;
/** 10, 20 and 40 s in which a hub that only throttles would have taken something. */
const IN_VAIN_MAX = 3;
/** From here on our own count makes the quota the likelier cause: the device's share of it is an estimate. */
const QUOTA_LIKELY_SHARE = 0.5;
/** Should the day be unknown, or the guess be wrong: one cut connection each quarter of an hour. */
const QUOTA_MS = 900_000;

/** The provider ended a connection; the hold that follows from it is in the answer. */
export function afterCut(limit: SilentLimit, cut: Cut, nowMs: number): SilentLimit {
  if (limit.hold) return limit;
  if (cut === 'late') {
    const recent = limit.lateCutsMs.filter((atMs) => nowMs - atMs < LATE_CUTS_MEMORY_MS);
    const lateCutsMs = [...recent, nowMs];
    const isSure = lateCutsMs.length >= LATE_CUTS || limit.inVain > 0;
    return isSure ? throttled({ ...limit, lateCutsMs }, nowMs) : { ...limit, lateCutsMs };
  }
  const unanswered = limit.unanswered + 1;
  if (unanswered < UNANSWERED_CUTS && limit.inVain === 0) return { ...limit, unanswered };
  const isQuota = (limit.quotaUsed ?? 0) >= QUOTA_LIKELY_SHARE || limit.inVain >= IN_VAIN_MAX;
  return isQuota ? exhausted(limit, nowMs) : throttled(limit, nowMs);
}

/** It accepted something: what it cut without an answer was not for a quota. */
export function afterAcceptance(limit: SilentLimit): SilentLimit {
  return limit.unanswered === 0 && limit.inVain === 0 ? limit : { ...limit, unanswered: 0, inVain: 0 };
}

/** Our own count of the day. When it falls, the day is another one, and its quota whole. */
export function withQuotaUsed(limit: SilentLimit, quotaUsed: number | null): SilentLimit {
  if (quotaUsed === limit.quotaUsed) return limit;
  const isNewDay = quotaUsed !== null && limit.quotaUsed !== null && quotaUsed < limit.quotaUsed;
  const ends = isNewDay && limit.hold?.reason === 'quota-exhausted';
  return { ...limit, quotaUsed, ...(ends && { hold: null, unanswered: 0, inVain: 0 }) };
}

/** Time passed; the same object while nothing ends. */
export function afterLimitPause(limit: SilentLimit, nowMs: number): SilentLimit {
  return limit.hold === null || nowMs < limit.hold.untilMs ? limit : { ...limit, hold: null };
}

function throttled(limit: SilentLimit, nowMs: number): SilentLimit {
  const recent = limit.throttledMs.filter((atMs) => nowMs - atMs < THROTTLED_MEMORY_MS);
  const pauseMs = pauseCeilingMs(THROTTLED_PAUSES, recent.length + 1);
  return {
    ...limit,
    hold: { reason: 'throttled', untilMs: nowMs + pauseMs },
    lateCutsMs: [],
    unanswered: 0,
    throttledMs: [...recent.slice(1 - THROTTLED_KEPT), nowMs],
    inVain: limit.inVain + 1,
  };
}

function exhausted(limit: SilentLimit, nowMs: number): SilentLimit {
  const hold = { reason: 'quota-exhausted', untilMs: nowMs + QUOTA_MS } as const;
  return { ...limit, hold, unanswered: 0, inVain: limit.inVain + 1 };
}
