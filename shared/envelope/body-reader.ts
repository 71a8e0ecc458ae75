/** Reads the body of an envelope (docs/reference/envelope.md) into columns. */
import { GAP_REASONS } from '../record.ts';
import { CborReader } from './cbor-reader.ts';
import {
  at,
  type EnvelopeColumns,
  LANES,
  member,
  NUMBERS_PER_GAP,
  NUMBERS_PER_RECORD,
  QUALITIES,
} from './columns.ts';
import { HEARTBEAT_STREAM } from './envelope.ts';
import { EnvelopeError } from './error.ts';
import { type EnvelopeLimits, ITEMS_MAX } from './limits.ts';

const NAME = /^[a-z0-9_][a-z0-9_-]{0,63}$/;
const NAME_BYTES_MAX = 64;
/** A boot id is a key in the ledger. */
const BOOT_ID_CHARACTERS_MAX = 128;
const UTF8_BYTES_PER_CHARACTER = 3;

/** An array of five elements of at least one byte each. */
const RECORD_LEAST = { bytes: 6, items: 6 };
const GAP_LEAST = { bytes: 4, items: 4 };
const WORD_LEAST = { bytes: 1, items: 1 };

/**
 * Reads a whole body. It accepts the bytes that `encodeBody` makes for some envelope, and no others. Throws
 * EnvelopeError with code `cbor`, `limit` or `schema`.
 */
export function decodeBody(body: Uint8Array, limits: EnvelopeLimits): EnvelopeColumns {
  const reader = new CborReader(body, ITEMS_MAX);
  reader.tuple('body', 10);
  const gateway = name(reader, 'gateway');
  const epoch = name(reader, 'epoch');
  const stream = name(reader, 'stream');
  reader.tuple('clock', 3);
  const clock = {
    bootId: bootId(reader),
    offsetMs: reader.integer('clock.offsetMs', Number.MIN_SAFE_INTEGER),
    quality: member(QUALITIES, reader.index('clock.quality', QUALITIES.length)),
  };
  const lane = member(LANES, reader.index('lane', LANES.length));
  const devices = words(reader, 'devices', limits);
  const topics = words(reader, 'topics', limits);
  const records = readRecords(reader, devices.length, topics.length, limits);
  const gaps = readGaps(reader, limits);
  const sealedAt = reader.isNull() ? null : reader.integer('sealedAt', 0);
  reader.end();
  if (stream === HEARTBEAT_STREAM && (records.length > 0 || gaps.length > 0 || sealedAt !== null))
    throw reader.schema('stream', `nothing on ${HEARTBEAT_STREAM}`);
  checkApart(reader, records, gaps);
  return { head: { gateway, epoch, stream, clock, lane, sealedAt }, devices, topics, records, gaps, body };
}

function readRecords(
  reader: CborReader,
  devices: number,
  topics: number,
  limits: EnvelopeLimits,
): Float64Array<ArrayBuffer> {
  const count = reader.list('records', { most: limits.records, ...RECORD_LEAST });
  const numbers = new Float64Array(count * NUMBERS_PER_RECORD);
  let seq = 0;
  let monoMs = 0;
  let devicesUsed = 0;
  let topicsUsed = 0;
  for (let i = 0; i < numbers.length; i += NUMBERS_PER_RECORD) {
    reader.tuple('records[]', 5);
    seq += reader.integer('records[].seq', 1);
    monoMs += reader.integer('records[].monoMs', Number.MIN_SAFE_INTEGER);
    if (!Number.isSafeInteger(seq)) throw reader.schema('records[].seq', 'a safe integer');
    if (!Number.isSafeInteger(monoMs)) throw reader.schema('records[].monoMs', 'a safe integer');
    // A word that was not used before is the next one.
    const device = reader.index('records[].device', Math.min(devices, devicesUsed + 1));
    const topic = reader.index('records[].topic', Math.min(topics, topicsUsed + 1));
    if (device === devicesUsed) devicesUsed += 1;
    if (topic === topicsUsed) topicsUsed += 1;
    const length = reader.bytes('records[].payload', limits.payloadBytes);
    numbers[i] = seq;
    numbers[i + 1] = monoMs;
    numbers[i + 2] = device;
    numbers[i + 3] = topic;
    numbers[i + 4] = reader.position - length;
    numbers[i + 5] = length;
  }
  if (devicesUsed < devices) throw reader.schema('devices', 'used words alone');
  if (topicsUsed < topics) throw reader.schema('topics', 'used words alone');
  return numbers;
}

function readGaps(reader: CborReader, limits: EnvelopeLimits): Float64Array<ArrayBuffer> {
  const count = reader.list('gaps', { most: limits.records, ...GAP_LEAST });
  const numbers = new Float64Array(count * NUMBERS_PER_GAP);
  let previous = 0;
  for (let i = 0; i < numbers.length; i += NUMBERS_PER_GAP) {
    reader.tuple('gaps[]', 3);
    const first = reader.integer('gaps[].first', previous + 1);
    previous = reader.integer('gaps[].last', first);
    numbers[i] = first;
    numbers[i + 1] = previous;
    numbers[i + 2] = reader.index('gaps[].reason', GAP_REASONS.length);
  }
  return numbers;
}

/** Both ascend, so one pass shows whether a record lies inside a gap. */
function checkApart(reader: CborReader, records: Float64Array, gaps: Float64Array): void {
  let gap = 0;
  for (let i = 0; gap < gaps.length && i < records.length; i += NUMBERS_PER_RECORD) {
    const seq = at(records, i);
    while (gap < gaps.length && at(gaps, gap + 1) < seq) gap += NUMBERS_PER_GAP;
    if (gap < gaps.length && at(gaps, gap) <= seq)
      throw reader.schema('records[].seq', 'a number outside the gaps');
  }
}

/** A dictionary: each word once. */
function words(reader: CborReader, field: string, { records, textBytes }: EnvelopeLimits): string[] {
  const count = reader.list(field, { most: records, ...WORD_LEAST });
  const found = new Set<string>();
  for (let i = 0; i < count; i++) {
    const word = reader.text(`${field}[]`, textBytes);
    if (word === null) throw new EnvelopeError('limit', `${field}[]: more than ${textBytes} bytes`);
    found.add(word);
  }
  if (found.size < count) throw reader.schema(field, 'each word once');
  return [...found];
}

function name(reader: CborReader, field: string): string {
  const value = reader.text(field, NAME_BYTES_MAX);
  if (value === null || !NAME.test(value)) throw reader.schema(field, '1–64 of a–z, 0–9, "_" and "-"');
  return value;
}

function bootId(reader: CborReader): string {
  const value = reader.text('clock.bootId', BOOT_ID_CHARACTERS_MAX * UTF8_BYTES_PER_CHARACTER);
  if (value === null || value.length > BOOT_ID_CHARACTERS_MAX)
    throw reader.schema('clock.bootId', `at most ${BOOT_ID_CHARACTERS_MAX} characters`);
  return value;
}
