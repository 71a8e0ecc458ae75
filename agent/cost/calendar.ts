/** UTC days and months of wall-clock instants, for quotas and bills. Pure (I11). */
import { isoTime, wallMsOf } from '../../shared/clock.ts';

export const DAY_MS = 86_400_000;

/** `2026-11-21`. */
export function dayOf(wallMs: number): string {
  return isoTime(wallMs).slice(0, 10);
}

/** `2026-11`. */
export function monthOf(wallMs: number): string {
  return isoTime(wallMs).slice(0, 7);
}

export function dayEndMs(wallMs: number): number {
  return (Math.floor(wallMs / DAY_MS) + 1) * DAY_MS;
}

export function monthStartMs(wallMs: number): number {
  return wallMsOf(`${monthOf(wallMs)}-01T00:00:00Z`);
}

/** A month has at most 31 days, so 32 days after its beginning lie in the next month. */
export function monthEndMs(wallMs: number): number {
  return monthStartMs(monthStartMs(wallMs) + 32 * DAY_MS);
}
