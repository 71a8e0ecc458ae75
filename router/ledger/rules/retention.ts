/**
 * How long records stay in the ledger, by stream: a pure decision on the volumes by hour of receipt (I11). A
 * removed record's content is deleted and its id stays known, so that a late duplicate is still a duplicate
 * (I5).
 */
import { matchesPattern } from './stream-pattern.ts';

/** A rule of router.yaml; at least one of the two bounds is set. */
interface RetentionRule {
  /** Name of the streams; `*` stands for any characters. */
  streams: string;
  /** Age by the time of receipt, in milliseconds. */
  max_age?: number | undefined;
  /** Payload bytes of all these streams together. */
  max_bytes?: number | undefined;
}

/** The first match counts; streams without a rule are kept for ever. */
export type RetentionRules = readonly RetentionRule[];

/** The payload bytes of one stream name in one hour. */
export interface Volume {
  stream: string;
  /** Hours since the Unix epoch, by the router's clock. */
  hour: number;
  bytes: number;
}

const HOUR_MS = 3_600_000;

/** The hour of a wall time. */
export function hourOf(wallMs: number): number {
  return Math.floor(wallMs / HOUR_MS);
}

/** The volumes that are due at `nowWallMs`, the oldest first. */
export function expired(rules: RetentionRules, volumes: readonly Volume[], nowWallMs: number): Volume[] {
  const newestFirst = volumes.toSorted((a, b) => b.hour - a.hour);
  const bytes = rules.map(() => 0);
  const leaving = newestFirst.filter((volume) => {
    const index = rules.findIndex(({ streams }) => matchesPattern(streams, volume.stream));
    const rule = rules[index];
    if (!rule) return false;
    const total = (bytes[index] ?? 0) + volume.bytes;
    bytes[index] = total;
    if (volume.hour >= hourOf(nowWallMs)) return false;
    const { max_age = Number.POSITIVE_INFINITY, max_bytes = Number.POSITIVE_INFINITY } = rule;
    return (volume.hour + 1) * HOUR_MS <= nowWallMs - max_age || total > max_bytes;
  });
  return leaving.reverse();
}
