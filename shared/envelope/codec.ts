/**
 * Envelope ⇄ bytes, as specified in docs/reference/envelope.md: 8 bytes of header (magic, version, flags,
 * CRC-32), then a CBOR array (RFC 8949), as a zstd frame (RFC 8878) where that is smaller.
 *
 * Decoding trusts no input: it checks every length, type, order and bound, and the error names the failed
 * check.
 */
import { crc32 } from 'node:zlib';
import { decode } from 'cborg';
import { GAP_REASONS, type Gap, type TelemetryRecord } from '../record.ts';
import { Scratch } from '../scratch.ts';
import { compress, decompress } from '../zstd.ts';
import { ExactTokenizer } from './cbor.ts';
import { CborWriter, HEAD_BYTES_MAX } from './cbor-writer.ts';
import { type Envelope, type EnvelopeProperties, HEARTBEAT_STREAM } from './envelope.ts';

const FORMAT_VERSION = 1;
const HEADER_BYTES = 8;
const FLAG_ZSTD = 1;
/** Far above any provider's message limit; bounds the unpacked size of a hostile frame (I10). */
const BODY_BYTES_MAX = 64 * 1024 * 1024;
const TEXT_CHARACTERS_MAX = 65_535;
/** A boot id is a key in the ledger. */
const BOOT_ID_CHARACTERS_MAX = 128;
/**
 * Most CBOR items in one envelope. An agent sends at most 5,000 records of six items; without a bound, 2 KB
 * of zstd unpack to 60 million empty lists, which take 3 GB (I10).
 */
const ITEMS_MAX = 200_000;

/**
 * CBOR heads of a record: its array, two steps, two indexes, its payload; of a gap: its array and three
 * numbers.
 */
const RECORD_HEADS = 6;
const GAP_HEADS = 4;
/** More heads than the fixed part of a body has, without its texts. */
const BODY_HEADS = 16;
/**
 * zstd's fastest level. The default level, 3, takes a third longer for envelopes, and makes envelopes of
 * readings no smaller.
 */
const LEVEL = 1;

/** The position in a list is the value on the wire; append only. */
const QUALITIES = ['unsynchronised', 'synchronised'] as const;
const LANES = ['live', 'backlog'] as const;

export type EnvelopeErrorCode =
  | 'truncated'
  | 'magic'
  | 'version'
  | 'flags'
  | 'checksum'
  | 'compression'
  | 'cbor'
  | 'limit'
  | 'schema';

/** The bytes are not an envelope; `code` names the failed check. */
export class EnvelopeError extends Error {
  readonly code: EnvelopeErrorCode;

  constructor(code: EnvelopeErrorCode, message: string) {
    super(message);
    this.name = 'EnvelopeError';
    this.code = code;
  }
}

/**
 * Encodes an envelope, times in whole milliseconds; the same bytes go to every provider. Throws RangeError
 * for an envelope that breaks its own rules (a bug).
 */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const body = encodeBody(envelope);
  const packed = compress(body, LEVEL);
  const shrunk = packed.length < body.length;
  const content = shrunk ? packed : body;
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + content.length);
  bytes.write('HG', 0, 'latin1');
  bytes[2] = FORMAT_VERSION;
  bytes[3] = shrunk ? FLAG_ZSTD : 0;
  bytes.set(content, HEADER_BYTES);
  bytes.writeUInt32BE(checksum(bytes), 4);
  return bytes;
}

/** Buffer for a body before it is copied. */
const scratch = new Scratch();

/** Returns a part of the scratch buffer: copy it. */
function encodeBody(envelope: Envelope): Buffer {
  const { clock, records, gaps, sealedAt } = envelope;
  const topics = new Dictionary();
  const devices = new Dictionary();
  let recordBytes = 0;
  for (const { device, topic, payload } of records) {
    devices.index(device);
    topics.index(topic);
    recordBytes += RECORD_HEADS * HEAD_BYTES_MAX + payload.byteLength;
  }
  const texts = [envelope.gateway, envelope.epoch, envelope.stream, clock.bootId];
  const textBytes = [...texts, ...devices.words, ...topics.words].reduce(
    (sum, text) => sum + HEAD_BYTES_MAX + Buffer.byteLength(text),
    0,
  );
  const gapBytes = gaps.length * GAP_HEADS * HEAD_BYTES_MAX;
  const writer = new CborWriter(
    scratch.room(BODY_HEADS * HEAD_BYTES_MAX + textBytes + recordBytes + gapBytes),
  );
  writer.array(10);
  for (const text of [envelope.gateway, envelope.epoch, envelope.stream]) writer.text(text);
  writer.array(3);
  writer.text(clock.bootId);
  writer.integer(clock.offsetMs);
  writer.integer(QUALITIES.indexOf(clock.quality));
  writer.integer(LANES.indexOf(envelope.lane));
  for (const { words } of [devices, topics]) {
    writer.array(words.length);
    for (const word of words) writer.text(word);
  }
  writeRecords(writer, records, devices, topics);
  writer.array(gaps.length);
  for (const { first, last, reason } of gaps) {
    writer.array(3);
    writer.integer(first);
    writer.integer(last);
    writer.integer(GAP_REASONS.indexOf(reason));
  }
  if (sealedAt === null) writer.null();
  else writer.integer(sealedAt);
  return writer.written();
}

function writeRecords(
  writer: CborWriter,
  records: readonly TelemetryRecord[],
  devices: Dictionary,
  topics: Dictionary,
): void {
  let seq = 0;
  let monoMs = 0;
  writer.array(records.length);
  for (const record of records) {
    if (record.seq <= seq) throw new RangeError(`records not ascending: ${record.seq} after ${seq}`);
    const atMs = Math.round(record.monoMs);
    writer.array(5);
    writer.integer(record.seq - seq);
    writer.integer(atMs - monoMs);
    writer.integer(devices.index(record.device));
    writer.integer(topics.index(record.topic));
    writer.bytes(record.payload);
    seq = record.seq;
    monoMs = atMs;
  }
}

/** Decodes the bytes of {@link encodeEnvelope}. Throws EnvelopeError for any others. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  return readBody(unpackBody(bytes));
}

/** An envelope's ids as message properties, for cloud-side rules. */
export function envelopeProperties(envelope: Envelope): EnvelopeProperties {
  const properties: EnvelopeProperties = {
    hg: String(FORMAT_VERSION),
    gw: envelope.gateway,
    ep: envelope.epoch,
    st: envelope.stream,
  };
  if (envelope.stream === HEARTBEAT_STREAM) return properties;
  const firsts = [...envelope.records.slice(0, 1).map((r) => r.seq), ...envelope.gaps.map((g) => g.first)];
  const lasts = [...envelope.records.slice(-1).map((r) => r.seq), ...envelope.gaps.map((g) => g.last)];
  if (firsts.length > 0) {
    properties.first = String(Math.min(...firsts));
    properties.last = String(Math.max(...lasts));
  }
  properties.n = String(envelope.records.length);
  return properties;
}

/** CRC-32 (IEEE 802.3) of all bytes except its own four. */
function checksum(bytes: Buffer): number {
  return crc32(bytes.subarray(HEADER_BYTES), crc32(bytes.subarray(0, 4)));
}

function unpackBody(input: Uint8Array): unknown {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  if (bytes.length < HEADER_BYTES + 1) throw new EnvelopeError('truncated', `only ${bytes.length} bytes`);
  if (bytes.toString('latin1', 0, 2) !== 'HG') throw new EnvelopeError('magic', 'does not start with "HG"');
  const version = bytes.readUInt8(2);
  if (version !== FORMAT_VERSION)
    throw new EnvelopeError('version', `format version ${version} is not known`);
  const flags = bytes.readUInt8(3);
  if ((flags & ~FLAG_ZSTD) !== 0) throw new EnvelopeError('flags', `unknown flags 0x${flags.toString(16)}`);
  if (checksum(bytes) !== bytes.readUInt32BE(4))
    throw new EnvelopeError('checksum', 'checksum does not match');
  let body: Uint8Array = bytes.subarray(HEADER_BYTES);
  if (flags & FLAG_ZSTD) {
    try {
      body = decompress(body, BODY_BYTES_MAX);
    } catch (error) {
      throw new EnvelopeError('compression', `zstd: ${error instanceof Error ? error.message : error}`);
    }
  }
  const options = { allowUndefined: false, allowInfinity: false, allowNaN: false };
  try {
    return decode(body, { ...options, tokenizer: new BoundedTokenizer(body, options) });
  } catch (error) {
    if (error instanceof EnvelopeError) throw error;
    throw new EnvelopeError('cbor', error instanceof Error ? error.message : String(error));
  }
}

function readBody(body: unknown): Envelope {
  const fields = list(body, 'body', 10);
  const clock = list(fields[3], 'clock', 3);
  const devices = words(fields[5], 'devices');
  const topics = words(fields[6], 'topics');
  const gaps = readGaps(fields[8]);
  return {
    gateway: name(fields[0], 'gateway'),
    epoch: name(fields[1], 'epoch'),
    stream: name(fields[2], 'stream'),
    clock: {
      bootId: text(clock[0], 'clock.bootId', BOOT_ID_CHARACTERS_MAX),
      offsetMs: integer(clock[1], 'clock.offsetMs', Number.MIN_SAFE_INTEGER),
      quality: member(QUALITIES, clock[2], 'clock.quality'),
    },
    lane: member(LANES, fields[4], 'lane'),
    records: readRecords(fields[7], devices, topics, gaps),
    gaps,
    sealedAt: fields[9] === null ? null : integer(fields[9], 'sealedAt', 0),
  };
}

function readRecords(value: unknown, devices: string[], topics: string[], gaps: Gap[]): TelemetryRecord[] {
  let seq = 0;
  let monoMs = 0;
  let gap = 0;
  return list(value, 'records').map((row, i) => {
    const [seqStep, monoStep, device, topic, payload] = list(row, `records[${i}]`, 5);
    seq = integer(seq + integer(seqStep, `records[${i}].seq`, 1), `records[${i}].seq`, 1);
    monoMs += integer(monoStep, `records[${i}].monoMs`, Number.MIN_SAFE_INTEGER);
    if (!(payload instanceof Uint8Array)) throw schemaError(`records[${i}].payload`, 'bytes');
    while (gap < gaps.length && (gaps[gap]?.last ?? 0) < seq) gap += 1;
    if ((gaps[gap]?.first ?? seq + 1) <= seq) {
      throw schemaError(`records[${i}].seq`, 'a number outside the gaps');
    }
    return {
      seq,
      monoMs: integer(monoMs, `records[${i}].monoMs`, Number.MIN_SAFE_INTEGER),
      device: member(devices, device, `records[${i}].device`),
      topic: member(topics, topic, `records[${i}].topic`),
      payload,
    };
  });
}

function readGaps(value: unknown): Gap[] {
  let previous = 0;
  return list(value, 'gaps').map((row, i) => {
    const [first, last, reason] = list(row, `gaps[${i}]`, 3);
    const gap = {
      first: integer(first, `gaps[${i}].first`, previous + 1),
      last: integer(last, `gaps[${i}].last`, 1),
      reason: member(GAP_REASONS, reason, `gaps[${i}].reason`),
    };
    if (gap.last < gap.first) throw schemaError(`gaps[${i}].last`, 'a number not below first');
    previous = gap.last;
    return gap;
  });
}

function list(value: unknown, name: string, length?: number): unknown[] {
  if (!Array.isArray(value) || (length !== undefined && value.length !== length)) {
    throw schemaError(name, length === undefined ? 'a list' : `a list of ${length}`);
  }
  return value;
}

function words(value: unknown, name: string): string[] {
  return list(value, name).map((word, i) => text(word, `${name}[${i}]`));
}

function text(value: unknown, name: string, charactersMax = TEXT_CHARACTERS_MAX): string {
  if (typeof value !== 'string' || value.length > charactersMax) {
    throw schemaError(name, `a text of at most ${charactersMax} characters`);
  }
  return value;
}

function name(value: unknown, field: string): string {
  if (typeof value !== 'string' || !/^[a-z0-9_][a-z0-9_-]{0,63}$/.test(value)) {
    throw schemaError(field, '1–64 of a–z, 0–9, "_" and "-"');
  }
  return value;
}

function integer(value: unknown, name: string, min: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min) {
    throw schemaError(name, `a whole number not below ${min}`);
  }
  return value;
}

function member<T>(values: readonly T[], index: unknown, name: string): T {
  const value = typeof index === 'number' ? values[index] : undefined;
  if (value === undefined) throw schemaError(name, `an index below ${values.length}`);
  return value;
}

function schemaError(name: string, expected: string): EnvelopeError {
  return new EnvelopeError('schema', `${name}: expected ${expected}`);
}

/** Stops the decoding of a body with more items than an envelope may have. */
class BoundedTokenizer extends ExactTokenizer {
  #items = 0;

  override next(): ReturnType<ExactTokenizer['next']> {
    this.#items += 1;
    if (this.#items > ITEMS_MAX) throw new EnvelopeError('limit', `more than ${ITEMS_MAX} items`);
    return super.next();
  }
}

/** Words numbered in the order of first use. */
class Dictionary {
  readonly words: string[] = [];
  readonly #indexes = new Map<string, number>();

  index(word: string): number {
    const known = this.#indexes.get(word);
    if (known !== undefined) return known;
    this.#indexes.set(word, this.words.length);
    return this.words.push(word) - 1;
  }
}
