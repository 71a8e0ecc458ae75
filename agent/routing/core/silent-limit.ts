/**
 * Limits that a provider enforces without an answer. An IoT Hub over MQTT has no answer for "too fast" or
 * "your quota is used up": it acknowledges later and later, then cuts the connection, and lets the device
 * reconnect at once (azure-iot-sdk-node#501, azure-iot-sdk-java#377). So both limits are inferred from the
 * cuts that the publisher sees:
 *
 * - A cut soon after a late acknowledgement is traffic shaping: `throttled`.
 * - Cuts without any acknowledgement can mean either limit. A throttling hub still accepts what its limit
 *   allows. A hub with an exhausted quota accepts nothing until the UTC day is over: `quota-exhausted`
 *   when the gateway's own count is high enough, or when nothing was accepted after several pauses
 *   (other devices use a shared hub's quota too).
 *
 * Each is a hold, because every try meanwhile costs a connection, and counts against the same limit. A hold
 * ends with its pause; that of the quota ends also when the day's count begins anew.
 */
import { pauseCeilingMs } from '../../../shared/backoff.ts';
import type { Cut } from '../../providers/publisher.ts';

export type LimitReason = 'throttled' | 'quota-exhausted';

export interface SilentLimit {
  readonly hold: { readonly reason: LimitReason; readonly untilMs: number } | null;
  /** Times of recent cuts soon after a late acknowledgement, newest last. */
  readonly lateCutsMs: readonly number[];
  /** Connections in a row that were cut without an answer, since the last acceptance. */
  readonly unanswered: number;
  /** Times of recent holds as throttled, newest last. */
  readonly throttledMs: readonly number[];
  /** Holds since the last acceptance. */
  readonly inVain: number;
  /** Share of the day's quota used by the gateway's own count; null without a quota. */
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

/** A single cut may be caused by the network. */
const LATE_CUTS = 2;
const LATE_CUTS_MEMORY_MS = 60_000;
/** An unreliable path cuts connections now and then, but not four in a row without an answer. */
const UNANSWERED_CUTS = 4;
/** The pauses of the vendor's own SDK after a throttle of an AMQP or HTTPS hub: from 10 s to 60 s. */
const THROTTLED_PAUSES = { firstMs: 10_000, lastMs: 60_000 };
/** Earlier holds count towards the next pause for this long. */
const THROTTLED_MEMORY_MS = 600_000;
const THROTTLED_KEPT = 8;
/** In pauses of 10, 20 and 40 s, a hub that only throttles would have accepted something. */
const IN_VAIN_MAX = 3;
/**
 * When the own count has used this share of the quota, the quota is the likelier cause; the device's share of
 * it is an estimate.
 */
const QUOTA_LIKELY_SHARE = 0.5;
/** For an unknown day or a wrong guess: one cut connection every quarter of an hour. */
const QUOTA_MS = 900_000;

/** The provider ended a connection; the result includes the hold that follows. */
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

/** The provider accepted an envelope: earlier cuts without an answer had another cause than the quota. */
export function afterAcceptance(limit: SilentLimit): SilentLimit {
  return limit.unanswered === 0 && limit.inVain === 0 ? limit : { ...limit, unanswered: 0, inVain: 0 };
}

/** Applies the gateway's own count of the day. A lower count means a new day with its full quota. */
export function withQuotaUsed(limit: SilentLimit, quotaUsed: number | null): SilentLimit {
  if (quotaUsed === limit.quotaUsed) return limit;
  const isNewDay = quotaUsed !== null && limit.quotaUsed !== null && quotaUsed < limit.quotaUsed;
  const ends = isNewDay && limit.hold?.reason === 'quota-exhausted';
  return { ...limit, quotaUsed, ...(ends && { hold: null, unanswered: 0, inVain: 0 }) };
}

/** Ends holds whose pause is over; returns the same object while none ends. */
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
