/**
 * Collects the records of a read from chunks, in columns: they go to the main thread without an object or a
 * text for each record.
 */
import type { SeqRange } from '../../../shared/record.ts';
import type { ReadResult } from '../protocol.ts';
import { type ChunkColumns, NUMBERS_PER_CHUNK_RECORD } from './chunk.ts';

interface KnownWord {
  index: number;
  bytes: number;
}

export class ColumnReader {
  readonly #maxBytes: number;
  readonly #words = new Map<string, KnownWord>();
  readonly #numbers: number[] = [];
  /** Payloads that are adjacent in their chunk stay together. */
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes the records `range` of a chunk that begins at `first`, until `maxBytes` of `recordBytes` are
   * reached, but at least one record in total. False when some records did not fit.
   */
  take(chunk: ChunkColumns, first: number, range: SeqRange): boolean {
    const devices = chunk.devices.map((word) => this.#known(word));
    const topics = chunk.topics.map((word) => this.#known(word));
    const from = (range.first - first) * NUMBERS_PER_CHUNK_RECORD;
    const to = Math.min(range.last - first + 1, chunk.count) * NUMBERS_PER_CHUNK_RECORD;
    let offset = 0;
    for (let at = 3; at < from; at += NUMBERS_PER_CHUNK_RECORD) offset += chunk.numbers[at] ?? 0;
    let end = offset;
    let seq = range.first;
    let at = from;
    for (; at < to; at += NUMBERS_PER_CHUNK_RECORD) {
      const device = devices[chunk.numbers[at] ?? 0] ?? NO_WORD;
      const topic = topics[chunk.numbers[at + 1] ?? 0] ?? NO_WORD;
      const length = chunk.numbers[at + 3] ?? 0;
      this.#bytes += length + device.bytes + topic.bytes;
      if (this.#bytes > this.#maxBytes && this.#numbers.length > 0) break;
      this.#numbers.push(seq, device.index, topic.index, chunk.numbers[at + 2] ?? 0, length);
      seq += 1;
      end += length;
    }
    if (end > offset) this.#parts.push(chunk.payloads.subarray(offset, end));
    return at >= to;
  }

  result(): ReadResult {
    return {
      words: [...this.#words.keys()],
      numbers: Float64Array.from(this.#numbers),
      payloads: joined(this.#parts),
    };
  }

  #known(word: string): KnownWord {
    const known = this.#words.get(word);
    if (known) return known;
    const added = { index: this.#words.size, bytes: Buffer.byteLength(word) };
    this.#words.set(word, added);
    return added;
  }
}

const NO_WORD: KnownWord = { index: 0, bytes: 0 };

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}
