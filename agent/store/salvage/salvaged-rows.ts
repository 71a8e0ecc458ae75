/**
 * Validates rows of a damaged buffer, as far as possible: SQLite may return values of any type from a page
 * that it could still read. Pure.
 */
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import { GAP_REASONS, type Gap } from '../../../shared/record.ts';
import { type Chunk, ChunkDamage, decodeChunk } from '../file/chunk.ts';
import { recordBytes, type SessionItem, type SessionItemKind } from '../types.ts';

export type Untrusted<Name extends string> = Record<Name, unknown>;

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** Whether the value is a non-negative safe integer. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/**
 * Null when the chunk is damaged, or not of this stream. The size is computed from the body, not read from
 * the row.
 */
export function chunkOf(
  row: Untrusted<'first' | 'last' | 'mono_ms' | 'body'>,
  stream: { epoch: string; name: string },
): Chunk | null {
  const { first, last, mono_ms: monoMs, body } = row;
  if (!isCount(first) || !isCount(last) || first < 1 || !isMeasure(monoMs) || !(body instanceof Uint8Array))
    return null;
  try {
    const records = decodeChunk(body, { epoch: stream.epoch, stream: stream.name, first });
    if (records.length !== last - first + 1) return null;
    return { first, last, monoMs, bytes: records.reduce((sum, one) => sum + recordBytes(one), 0), body };
  } catch (error) {
    if (error instanceof ChunkDamage) return null;
    throw error;
  }
}

export function gapOf({ first, last, reason }: Untrusted<'first' | 'last' | 'reason'>): Gap | null {
  const known = GAP_REASONS.find((one) => one === reason);
  if (!known || !isCount(first) || !isCount(last) || first < 1 || last < first) return null;
  return { first, last, reason: known };
}

/** The clock of an epoch; invalid values count as unknown. */
export function clockOf(row: Untrusted<'boot_id' | 'offset_ms' | 'quality'>): EnvelopeClock {
  const { boot_id: bootId, offset_ms: offsetMs, quality } = row;
  if (!isText(bootId) || !isMeasure(offsetMs)) return UNKNOWN_CLOCK;
  return { bootId, offsetMs, quality: quality === 'synchronised' ? quality : 'unsynchronised' };
}

export const UNKNOWN_CLOCK: EnvelopeClock = { bootId: '', offsetMs: 0, quality: 'unsynchronised' };

const SESSION_ITEM_KINDS: readonly SessionItemKind[] = [
  'subscription',
  'retained',
  'owner',
  'outgoing',
  'incoming',
  'will',
];

/** Client and key are empty in some kinds. The broker validates the value. */
export function sessionItemOf(row: Untrusted<'kind' | 'client' | 'key' | 'value'>): SessionItem | null {
  const { client, key, value } = row;
  const kind = SESSION_ITEM_KINDS.find((one) => one === row.kind);
  if (!kind || typeof client !== 'string' || typeof key !== 'string' || !(value instanceof Uint8Array))
    return null;
  if (kind === 'outgoing' && !isCount(Number(key))) return null;
  return { kind, client, key, value };
}

/** Empty when it does not decode. */
export function setOf(encoded: unknown): IntervalSet {
  if (!(encoded instanceof Uint8Array)) return IntervalSet.empty();
  try {
    return IntervalSet.decode(encoded);
  } catch (error) {
    if (error instanceof RangeError) return IntervalSet.empty();
    throw error;
  }
}

function isMeasure(value: unknown): value is number {
  return Number.isFinite(value);
}
