/**
 * A chunk: the records of one stream that became durable together, as one row of the file. One insert instead
 * of one for each record, each word stored once, and compressed when that pays, because the pages that a
 * commit touches wear an SD card. The seqs are implied: the chunk's first, and one more for each record.
 *
 *   0     format, 2; format 1 had no id in the checksum
 *   1     flags: 1 the rest is compressed with zstd
 *   2..5  CRC-32 of the id of its first record, the format, the flags and all bytes after this field, least
 *         significant byte first
 *   6..   count; devices and topics, each a count and texts with their lengths; then for each record: its
 *         device, its topic, the step of its monotonic time, its payload's length; then all payloads.
 *         Numbers are LEB128, steps in zigzag form.
 *
 * SQLite verifies only the structure of its pages. The checksum detects payloads that a worn card changed,
 * and a whole body that a misplaced write put under another id (I2).
 */
import { crc32 } from 'node:zlib';
import { errorText } from '../../../shared/error-text.ts';
import { Scratch } from '../../../shared/scratch.ts';
import { compress, decompress, giveBack } from '../../../shared/zstd.ts';

export interface ChunkRecord {
  device: string;
  topic: string;
  /** Whole milliseconds. */
  monoMs: number;
  payload: Uint8Array;
}

/** The facts of a chunk that are known without unpacking it. */
export interface ChunkHead {
  first: number;
  last: number;
  /** Monotonic time of its newest record. */
  monoMs: number;
  /** Sum of `recordBytes` over its records. */
  bytes: number;
}

export interface Chunk extends ChunkHead {
  body: Uint8Array;
}

/**
 * Most records of a chunk, and most bytes of payload unless one record has more. Bounds the work of a read or
 * an eviction (I10).
 */
export const CHUNK_RECORDS_MAX = 1000;
export const CHUNK_BYTES_MAX = 256 * 1024;

const FORMAT = 2;
/** The checksum of this format does not cover the id. */
const FORMAT_WITHOUT_ID = 1;
const COMPRESSED = 1;
const HEADER_BYTES = 6;
/** Below this size, the overhead of a zstd frame exceeds the saving. */
const COMPRESS_FROM_BYTES = 600;
/** zstd's fastest regular level. */
const LEVEL = 1;
/** No chunk of this program unpacks to more: the largest MQTT packet is 256 MiB. */
const UNPACKED_BYTES_MAX = 300 * 2 ** 20;
/** Longest LEB128 form of a safe integer. */
const NUMBER_BYTES_MAX = 8;

/** The body is not a chunk, or was changed. */
export class ChunkDamage extends Error {
  override readonly name = 'ChunkDamage';
}

/** The id of a chunk's first record (I2). */
export interface ChunkId {
  epoch: string;
  stream: string;
  first: number;
}

/** A chunk is assembled here before it is copied. */
const scratch = new Scratch();

export function encodeChunk(records: readonly ChunkRecord[], id: ChunkId): Buffer {
  const devices = new Words();
  const topics = new Words();
  let payloadBytes = 0;
  for (const { device, topic, payload } of records) {
    devices.indexOf(device);
    topics.indexOf(topic);
    payloadBytes += payload.byteLength;
  }
  const fixed = HEADER_BYTES + 3 * NUMBER_BYTES_MAX + records.length * 4 * NUMBER_BYTES_MAX;
  const writer = new Writer(scratch.room(fixed + devices.bytesMax + topics.bytesMax + payloadBytes));
  writer.number(records.length);
  writer.words(devices);
  writer.words(topics);
  let before = 0;
  for (const { device, topic, monoMs, payload } of records) {
    const at = Math.round(monoMs);
    writer.number(devices.indexOf(device));
    writer.number(topics.indexOf(topic));
    writer.number(at >= before ? (at - before) * 2 : (before - at) * 2 - 1);
    writer.number(payload.byteLength);
    before = at;
  }
  for (const { payload } of records) writer.bytes(payload);
  return framed(writer.written(), id);
}

/** A chunk's records as columns, for reads of many records without an object for each. */
export interface ChunkColumns {
  count: number;
  devices: readonly string[];
  topics: readonly string[];
  /**
   * {@link NUMBERS_PER_CHUNK_RECORD} numbers for each record: index of its device, index of its topic,
   * monotonic time, length of its payload.
   */
  numbers: Float64Array;
  /** All payloads, concatenated. */
  payloads: Buffer;
}

export const NUMBERS_PER_CHUNK_RECORD = 4;

/** Throws ChunkDamage. */
export function decodeColumns(body: Uint8Array, id: ChunkId): ChunkColumns {
  const reader = new Reader(unframed(body, id));
  const count = reader.number();
  const devices = reader.words();
  const topics = reader.words();
  // Each number of a record takes at least one byte.
  if (count * NUMBERS_PER_CHUNK_RECORD > reader.left) throw new ChunkDamage('it ends too early');
  const numbers = new Float64Array(count * NUMBERS_PER_CHUNK_RECORD);
  let monoMs = 0;
  for (let at = 0; at < numbers.length; ) {
    const device = reader.number();
    const topic = reader.number();
    const step = reader.number();
    if (device >= devices.length || topic >= topics.length)
      throw new ChunkDamage('a record refers to a word that does not exist');
    monoMs += step % 2 === 0 ? step / 2 : -(step + 1) / 2;
    numbers[at++] = device;
    numbers[at++] = topic;
    numbers[at++] = monoMs;
    numbers[at++] = reader.number();
  }
  let payloadBytes = 0;
  for (let at = 3; at < numbers.length; at += NUMBERS_PER_CHUNK_RECORD) payloadBytes += numbers[at] ?? 0;
  const payloads = reader.bytes(payloadBytes);
  reader.end();
  return { count, devices, topics, numbers, payloads };
}

/** Throws ChunkDamage. The payloads are views into one buffer. */
export function decodeChunk(body: Uint8Array, id: ChunkId): ChunkRecord[] {
  const { count, devices, topics, numbers, payloads } = decodeColumns(body, id);
  let offset = 0;
  return Array.from({ length: count }, (_, i) => {
    const at = i * NUMBERS_PER_CHUNK_RECORD;
    const [device = 0, topic = 0, monoMs = 0, length = 0] = numbers.subarray(
      at,
      at + NUMBERS_PER_CHUNK_RECORD,
    );
    const payload = payloads.subarray(offset, offset + length);
    offset += length;
    return { device: devices[device] ?? '', topic: topics[topic] ?? '', monoMs, payload };
  });
}

/** A copy, compressed where that pays. `raw` begins with room for the header. */
function framed(raw: Buffer, id: ChunkId): Buffer {
  const content = raw.subarray(HEADER_BYTES);
  const packed = content.length >= COMPRESS_FROM_BYTES ? compress(content, LEVEL) : content;
  const isPacked = packed.length < content.length;
  const body = Buffer.concat([raw.subarray(0, HEADER_BYTES), isPacked ? packed : content]);
  if (packed !== content) giveBack(packed);
  body[0] = FORMAT;
  body[1] = isPacked ? COMPRESSED : 0;
  body.writeUInt32LE(checksum(body, id), 2);
  return body;
}

function unframed(body: Uint8Array, id: ChunkId): Buffer {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const isKnown = bytes[0] === FORMAT || bytes[0] === FORMAT_WITHOUT_ID;
  if (bytes.length < HEADER_BYTES || !isKnown) throw new ChunkDamage('not a chunk');
  if (bytes.readUInt32LE(2) !== checksum(bytes, id)) throw new ChunkDamage('the checksum does not match');
  const content = bytes.subarray(HEADER_BYTES);
  if (bytes[1] !== COMPRESSED) return content;
  try {
    return decompress(content, UNPACKED_BYTES_MAX);
  } catch (error) {
    throw new ChunkDamage(errorText(error));
  }
}

function checksum(body: Buffer, { epoch, stream, first }: ChunkId): number {
  const owner = body[0] === FORMAT_WITHOUT_ID ? 0 : crc32(`${epoch}/${stream}/${first}`);
  return crc32(body.subarray(HEADER_BYTES), crc32(body.subarray(0, 2), owner));
}

/** Texts by index, each stored once. */
class Words {
  readonly #indexes = new Map<string, number>();
  #chars = 0;

  indexOf(word: string): number {
    const known = this.#indexes.get(word);
    if (known !== undefined) return known;
    this.#chars += word.length;
    this.#indexes.set(word, this.#indexes.size);
    return this.#indexes.size - 1;
  }

  get texts(): string[] {
    return [...this.#indexes.keys()];
  }

  /** Upper bound of the encoded size: a UTF-16 unit takes at most three bytes in UTF-8. */
  get bytesMax(): number {
    return this.#chars * 3 + this.#indexes.size * NUMBER_BYTES_MAX;
  }
}

class Writer {
  readonly #buffer: Buffer;
  #at = HEADER_BYTES;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  number(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.#buffer[this.#at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#at++] = rest;
  }

  words(words: Words): void {
    const { texts } = words;
    this.number(texts.length);
    for (const text of texts) {
      this.number(Buffer.byteLength(text));
      this.#at += this.#buffer.write(text, this.#at);
    }
  }

  bytes(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.byteLength;
  }

  /** The written bytes, including the room for the header in front. */
  written(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }
}

class Reader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  get left(): number {
    return this.#buffer.length - this.#at;
  }

  number(): number {
    const first = this.#buffer[this.#at];
    if (first !== undefined && first < 128) {
      this.#at += 1;
      return first;
    }
    let value = 0;
    for (let factor = 1; factor < Number.MAX_SAFE_INTEGER; factor *= 128) {
      const byte = this.#buffer[this.#at++];
      if (byte === undefined) throw new ChunkDamage('it ends too early');
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
    throw new ChunkDamage('a number is too long');
  }

  words(): string[] {
    const count = this.number();
    const texts: string[] = [];
    for (let i = 0; i < count; i++) texts.push(this.bytes(this.number()).toString());
    return texts;
  }

  bytes(length: number): Buffer {
    if (length > this.left) throw new ChunkDamage('it ends too early');
    const bytes = this.#buffer.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }

  end(): void {
    if (this.#at !== this.#buffer.length) throw new ChunkDamage('bytes are left over');
  }
}
