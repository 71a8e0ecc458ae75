/**
 * How long records stay in the ledger, by stream: a pure decision on the volumes by hour of receipt (I11). A
 * removed record's content is deleted and its id stays known, so that a late duplicate is still a duplicate
 * (I5).
 */
import type { RecordContent } from '../types.ts';
import { matchesPattern } from './stream-pattern.ts';

/** A rule of router.yaml; at least one of the two bounds is set. */
interface RetentionRule {
  /** Name of the streams; `*` stands for any characters. */
  streams: string;
  /** Age by the time of receipt, in milliseconds. */
  max_age?: number | undefined;
  /** Bytes of all these streams together, by {@link storedBytes}. */
  max_bytes?: number | undefined;
}

/** The first match counts; streams without a rule are kept for ever. */
export type RetentionRules = readonly RetentionRule[];

/**
 * Bytes that every engine counts for a record besides its device, topic and payload, and for an envelope with
 * new records: rows, keys and index entries, by the growth of a SQLite file. PostgreSQL takes about 60 more a
 * record, and JetStream, which packs columns, less.
 */
export const RECORD_BYTES = 48;
export const ENVELOPE_BYTES = 80;

/** The bytes that an envelope's records take in the ledger; 0 without records. */
export function storedBytes(records: readonly RecordContent[]): number {
  // Few texts, of many records: each is measured once.
  const sizes = new Map<string, number>();
  const sizeOf = (text: string): number => {
    const known = sizes.get(text);
    if (known !== undefined) return known;
    const size = Buffer.byteLength(text);
    sizes.set(text, size);
    return size;
  };
  let bytes = records.length === 0 ? 0 : ENVELOPE_BYTES;
  for (const { device, topic, payload } of records)
    bytes += RECORD_BYTES + sizeOf(device) + sizeOf(topic) + payload.byteLength;
  return bytes;
}

/** The bytes of one stream name in one hour; payloads alone for what came before 0.2.0. */
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
