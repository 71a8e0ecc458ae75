/**
 * How long records stay in the ledger, by stream: a pure decision on the volumes by hour of receipt, and on
 * the shares of gateways (I11). A removed record's content is deleted and its id stays known, so that a late
 * duplicate is still a duplicate (I5).
 */
import type { RecordContent } from '../types.ts';
import { capsOf, NO_SHARES } from './shares.ts';
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
export function storedBytes(records: readonly Pick<RecordContent, 'device' | 'topic' | 'payload'>[]): number {
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
  /** Those among `bytes` that are in no gateway's share: from before shares were counted. */
  unshared: number;
}

const HOUR_MS = 3_600_000;

/** The hour of a wall time. */
export function hourOf(wallMs: number): number {
  return Math.floor(wallMs / HOUR_MS);
}

/** The bytes of all shares, by stream name. */
export function sharedOf(volumes: readonly Volume[]): Map<string, number> {
  const shared = new Map<string, number>();
  for (const { stream, bytes, unshared } of volumes) {
    shared.set(stream, (shared.get(stream) ?? 0) + bytes - unshared);
  }
  return shared;
}

/** A volume of which arrivals are due. */
export interface Leaving<V extends Volume> {
  volume: V;
  /** False: only the arrivals that are in no gateway's share. */
  isWhole: boolean;
}

/** The streams of a rule, whose shares hold more than they may. */
export interface Overfull {
  streams: string[];
  /** Bytes of all shares. */
  held: number;
  heldMax: number;
}

export interface Due<V extends Volume> {
  /** The oldest first. */
  leaving: Leaving<V>[];
  overfull: Overfull[];
}

/**
 * The removals that are due at `nowWallMs`. Beyond `max_bytes`, hours from before shares were counted leave
 * first, and then the gateways that hold most give up their own ({@link capsOfHolders}). `shared`: the bytes
 * of all shares of a stream name.
 */
export function dueOf<V extends Volume>(
  rules: RetentionRules,
  volumes: readonly V[],
  shared: ReadonlyMap<string, number>,
  nowWallMs: number,
): Due<V> {
  const names = [...new Set([...volumes.map(({ stream }) => stream), ...shared.keys()])];
  const ruleOf = new Map(
    names.map((name) => [name, rules.findIndex(({ streams }) => matchesPattern(streams, name))]),
  );
  const due = rules.map((rule, index): Due<V> => {
    const streams = names.filter((name) => ruleOf.get(name) === index);
    const own = volumes.filter(({ stream }) => ruleOf.get(stream) === index);
    const aged = expired(rule, own, nowWallMs);
    if (aged.length > 0 || rule.max_bytes === undefined) return { leaving: aged, overfull: [] };
    const held = streams.reduce((sum, stream) => sum + (shared.get(stream) ?? 0), 0);
    const leaving = beyond(own, rule.max_bytes - held, nowWallMs);
    if (leaving.length > 0) return { leaving, overfull: [] };
    const unshared = own.reduce((sum, volume) => sum + volume.unshared, 0);
    const heldMax = Math.max(0, rule.max_bytes - unshared);
    return { leaving: [], overfull: held > heldMax ? [{ streams, held, heldMax }] : [] };
  });
  return {
    leaving: due.flatMap(({ leaving }) => leaving).sort((a, b) => a.volume.hour - b.volume.hour),
    overfull: due.flatMap(({ overfull }) => overfull),
  };
}

/** The volumes past the rule's age. */
function expired<V extends Volume>(
  { max_age }: RetentionRule,
  volumes: readonly V[],
  nowWallMs: number,
): Leaving<V>[] {
  if (max_age === undefined) return [];
  return volumes
    .filter(({ hour }) => hour < hourOf(nowWallMs) && (hour + 1) * HOUR_MS <= nowWallMs - max_age)
    .map((volume) => ({ volume, isWhole: true }));
}

/** The volumes with unshared bytes of which, the newest counted first, no more than `bytesMax` fit. */
function beyond<V extends Volume>(volumes: readonly V[], bytesMax: number, nowWallMs: number): Leaving<V>[] {
  const newestFirst = volumes.filter(({ unshared }) => unshared > 0).toSorted((a, b) => b.hour - a.hour);
  let total = 0;
  return newestFirst
    .filter(({ hour, unshared }) => {
      total += unshared;
      return total > bytesMax && hour < hourOf(nowWallMs);
    })
    .map((volume) => ({ volume, isWhole: volume.unshared === volume.bytes }));
}

/** The bytes that a gateway holds, in some streams or in all. */
export interface Holder {
  gateway: string;
  bytes: number;
}

/** Most holders that are looked at in one step; the next step looks again. */
export const HOLDERS_MAX = 32;
/** The part of its bytes that a holder keeps in one step while others that are not listed hold as much. */
const KEPT_PER_STEP = 15 / 16;

/**
 * Those of the largest holders (at most {@link HOLDERS_MAX}, the largest first) that hold too much, with what
 * they may hold: all shrink to one level, so a flood pushes out its own records, and none of a gateway that
 * holds less.
 */
export function capsOfHolders(largest: readonly Holder[], { held, heldMax }: Overfull): Holder[] {
  const rest = held - largest.reduce((sum, { bytes }) => sum + bytes, 0);
  const accounts = largest.map((holder) => ({ ...holder, source: '', rows: 0 }));
  const all = { rowsMax: Number.POSITIVE_INFINITY, bytesMax: Math.max(0, heldMax - rest) };
  // Below the last one listed, others would be as large.
  const smallest = largest.length < HOLDERS_MAX ? 0 : (largest.at(-1)?.bytes ?? 0) * KEPT_PER_STEP;
  return capsOf(accounts, NO_SHARES, all)
    .map(({ gateway, bytesMax }) => ({ gateway, bytes: Math.max(bytesMax, Math.floor(smallest)) }))
    .filter(({ gateway, bytes }) => largest.some((one) => one.gateway === gateway && one.bytes > bytes));
}
