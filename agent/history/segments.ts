/**
 * The files of the history, and the choice of those to delete. Files are ordered by number, never by the day
 * in their name: a gateway that boots in 1970 writes files without a day (I7). Pure (I11).
 */
import { wallMsOf } from '../../shared/clock.ts';

const DAY_MS = 86_400_000;
const NAME = /^(\d{8})-(\d{4}-\d{2}-\d{2}|undated)\.ndjson$/;

export interface Segment {
  number: number;
  /** UTC, `2026-11-21`; null when the clock was not synchronised at the file's beginning. */
  day: string | null;
  bytes: number;
}

export interface Bounds {
  maxBytes: number;
  maxAgeMs: number;
}

export function segmentName({ number, day }: Pick<Segment, 'number' | 'day'>): string {
  return `${String(number).padStart(8, '0')}-${day ?? 'undated'}.ndjson`;
}

/** Null when the name is not that of a segment. */
export function parseSegmentName(name: string): Pick<Segment, 'number' | 'day'> | null {
  const found = NAME.exec(name);
  if (!found) return null;
  return { number: Number(found[1]), day: found[2] === 'undated' ? null : (found[2] ?? null) };
}

/**
 * The files of `segments` (ascending) to delete before `room` more bytes are written: those above the bound
 * in bytes, and those that ended before the bound in age, with all earlier ones. `nowMs` is wall time, null
 * while it is unknown: then no file is too old (I7, I10).
 */
export function expired(
  segments: readonly Segment[],
  { maxBytes, maxAgeMs }: Bounds,
  room: number,
  nowMs: number | null,
): Segment[] {
  let bytes = room;
  let keep = segments.length;
  while (keep > 0 && bytes + (segments[keep - 1]?.bytes ?? 0) <= maxBytes) {
    keep -= 1;
    bytes += segments[keep]?.bytes ?? 0;
  }
  const oldest = nowMs === null ? Number.NEGATIVE_INFINITY : nowMs - maxAgeMs;
  const tooOld = segments.findLastIndex(({ day }) => day !== null && dayEndMs(day) <= oldest);
  return segments.slice(0, Math.max(keep, tooOld + 1));
}

function dayEndMs(day: string): number {
  return wallMsOf(`${day}T00:00:00Z`) + DAY_MS;
}
