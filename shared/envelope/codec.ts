/**
 * Envelope ⇄ bytes, as specified in docs/reference/envelope.md: a frame (frame.ts) around a CBOR array (RFC
 * 8949), as a zstd frame (RFC 8878) where that is smaller.
 *
 * Decoding trusts no input: it checks every length, type, order and bound, and the error names the failed
 * check.
 */
import { GAP_REASONS, type SeqRange, type TelemetryRecord } from '../record.ts';
import { Scratch } from '../scratch.ts';
import { compress, decompress, readFrameHead } from '../zstd.ts';
import { decodeBody } from './body-reader.ts';
import { CborWriter, HEAD_BYTES_MAX } from './cbor-writer.ts';
import { type Ends, type EnvelopeColumns, endsOf, envelopeOf, LANES, QUALITIES } from './columns.ts';
import { type Envelope, type EnvelopeProperties, HEARTBEAT_STREAM } from './envelope.ts';
import { EnvelopeError } from './error.ts';
import {
  type EnvelopeSigner,
  type FrameVersion,
  type OpenedFrame,
  type OuterFrame,
  openFrame,
  writePlainFrame,
  writeSignedFrame,
} from './frame.ts';
import { ENVELOPE_LIMITS, type EnvelopeLimits, unpackedBytesMax } from './limits.ts';
import type { ContentOpener, EnvelopeSealer } from './seal.ts';

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
/** Every decoder of zstd should take this window (RFC 8878, 3.1.1.1.2). */
const WINDOW_BYTES_FREE = 8 * 1024 * 1024;

/**
 * Encodes an envelope, times in whole milliseconds; the same bytes go to every provider. Format version 1
 * without a signer, 2 with one, 3 with a sealer too. Throws RangeError for an envelope that breaks its own
 * rules, and for a sealer without a signer (bugs).
 */
export function encodeEnvelope(
  envelope: Envelope,
  signer: EnvelopeSigner | null = null,
  sealer: EnvelopeSealer | null = null,
): Uint8Array {
  if (signer === null && sealer !== null) throw new RangeError('sealed, and not signed');
  const body = encodeBody(envelope);
  const packed = compress(body, LEVEL);
  const shrunk = packed.length < body.length;
  const content = shrunk ? packed : body;
  if (signer === null) return writePlainFrame(content, shrunk);
  return writeSignedFrame(content, shrunk, { key: envelope, range: rangeOf(envelope) }, signer, sealer);
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

/**
 * Decodes the bytes of {@link encodeEnvelope}; a sealed one needs an opener. Verifies no signature.
 * Throws EnvelopeError for any others, and for an envelope beyond `limits`.
 */
export function decodeEnvelope(
  bytes: Uint8Array,
  limits: EnvelopeLimits = ENVELOPE_LIMITS,
  opener: ContentOpener | null = null,
): Envelope {
  return envelopeOf(decodeColumns(bytes, limits, opener));
}

/** Like {@link decodeEnvelope}, without an object per record. */
export function decodeColumns(
  bytes: Uint8Array,
  limits: EnvelopeLimits,
  opener: ContentOpener | null = null,
): EnvelopeColumns {
  const frame = openFrame(bytes);
  const { isCompressed, outer } = frame;
  const content = unsealed(frame, opener);
  const body = isCompressed ? unpackBody(content, limits) : plainBody(content, limits);
  const columns = decodeBody(body, limits);
  if (outer !== null) agree(outer, columns);
  return columns;
}

function unsealed({ content, outer }: OpenedFrame, opener: ContentOpener | null): Uint8Array {
  if (outer === null || outer.recipients === null) return content;
  if (opener === null)
    throw new EnvelopeError('seal-key', `sealed to ${outer.recipients.map(({ keyId }) => keyId).join(', ')}`);
  return opener(outer.head, content);
}

/** The signature is over the frame's clear text: a body that says otherwise is refused. */
function agree(outer: OuterFrame, { head, ...columns }: EnvelopeColumns): void {
  for (const field of ['gateway', 'epoch', 'stream'] as const) {
    if (outer[field] !== head[field])
      throw new EnvelopeError('frame', `${field}: ${outer[field]} outside, ${head[field]} inside`);
  }
  const range = rangeOf(endsOf(columns));
  if (outer.range?.first !== range?.first || outer.range?.last !== range?.last)
    throw new EnvelopeError('frame', 'range: not that of the records and gaps');
}

/** Lowest and highest seq of records and gaps together; null without any. */
function rangeOf({ records, gaps }: Ends): SeqRange | null {
  const firsts = [
    ...records.slice(0, 1).map(({ seq }) => seq),
    ...gaps.slice(0, 1).map(({ first }) => first),
  ];
  const lasts = [...records.slice(-1).map(({ seq }) => seq), ...gaps.slice(-1).map(({ last }) => last)];
  return firsts.length === 0 ? null : { first: Math.min(...firsts), last: Math.max(...lasts) };
}

/** An envelope's ids as message properties, for cloud-side rules, with the version of its frame. */
export function envelopeProperties(envelope: Envelope, version: FrameVersion = 1): EnvelopeProperties {
  const properties: EnvelopeProperties = {
    hg: String(version),
    gw: envelope.gateway,
    ep: envelope.epoch,
    st: envelope.stream,
  };
  if (envelope.stream === HEARTBEAT_STREAM) return properties;
  const range = rangeOf(envelope);
  if (range !== null) {
    properties.first = String(range.first);
    properties.last = String(range.last);
  }
  properties.n = String(envelope.records.length);
  return properties;
}

function plainBody(content: Uint8Array, { bodyBytes }: EnvelopeLimits): Uint8Array {
  if (content.length > bodyBytes) throw tooLarge(bodyBytes);
  return content;
}

/** Refuses a frame by the size that it announces, or else while it unpacks. */
function unpackBody(content: Uint8Array, limits: EnvelopeLimits): Uint8Array {
  const most = unpackedBytesMax(content.length, limits);
  const head = readFrameHead(content);
  if (head === null) throw new EnvelopeError('compression', 'not one zstd frame');
  const { contentBytes, windowBytes } = head;
  if ((contentBytes ?? 0) > most) throw tooLarge(most);
  // A decoder allocates the window at once.
  if (windowBytes > Math.max(most, WINDOW_BYTES_FREE)) throw tooLarge(most);
  try {
    return decompress(content, most);
  } catch (error) {
    if (error instanceof RangeError && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE')
      throw tooLarge(most);
    throw new EnvelopeError('compression', `zstd: ${error instanceof Error ? error.message : error}`);
  }
}

function tooLarge(bytes: number): EnvelopeError {
  return new EnvelopeError('limit', `a body of more than ${bytes} bytes`);
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
