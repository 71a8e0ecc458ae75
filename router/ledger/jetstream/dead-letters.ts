/** Messages that are no envelope. Each counts all before it, one behind the other; the server drops the oldest beyond the bound (I10). */
import { decode as decodeCbor, encode as encodeCbor } from 'cborg';
import type { DeadLetter } from '../ledger.ts';
import type { Blobs, Packed } from './blobs.ts';
import type { Connection } from './connection.ts';
import type { Names } from './names.ts';
import type { EvidenceStream } from './streams.ts';

const DETAIL_CHARACTERS_MAX = 500;

type Row = [
  number: number,
  source: string,
  reason: string,
  detail: string,
  receivedWallMs: number,
  bytes: Packed,
];

export class DeadLetterStore {
  readonly #connection: Connection;
  readonly #blobs: Blobs;
  readonly #names: Names;
  readonly #stream: EvidenceStream;

  constructor(connection: Connection, blobs: Blobs, names: Names, stream: EvidenceStream) {
    this.#connection = connection;
    this.#blobs = blobs;
    this.#names = names;
    this.#stream = stream;
  }

  async add({ source, reason, detail, bytes, receivedWallMs }: DeadLetter): Promise<void> {
    await this.#stream.make();
    const packed = await this.#blobs.pack(this.#names.deadLetterPart, bytes);
    for (let stored: number | null = null; stored === null; ) {
      const { last } = await this.#connection.extent(this.#names.deadLetters);
      const number = await this.count();
      const text = detail.slice(0, DETAIL_CHARACTERS_MAX);
      const row: Row = [number + 1, source, reason, text, receivedWallMs, packed];
      const { deadLetters, deadLetter } = this.#names;
      stored = await this.#connection.publishAfter(deadLetters, deadLetter, last, encodeCbor(row));
    }
  }

  /** The newest first, at most `limit`. */
  async newest(limit: number): Promise<DeadLetter[]> {
    if (!(await this.#stream.isThere())) return [];
    const { first, last } = await this.#connection.extent(this.#names.deadLetters);
    const found: DeadLetter[] = [];
    for (let seq = last; seq >= first && found.length < limit; seq -= 1) {
      const message = await this.#connection.get(this.#names.deadLetters, { seq });
      if (message?.subject !== this.#names.deadLetter) continue;
      const [, source, reason, detail, receivedWallMs, packed] = decodeCbor(message.data) as Row;
      const bytes = await this.#blobs.unpack(this.#names.deadLetters, packed);
      if (bytes !== null) found.push({ source, reason, detail, bytes, receivedWallMs });
    }
    return found;
  }

  /** How many there ever were. */
  async count(): Promise<number> {
    if (!(await this.#stream.isThere())) return 0;
    const { deadLetters, deadLetter } = this.#names;
    const message = await this.#connection.getLatest(deadLetters, deadLetter);
    if (message === null) return 0;
    const [number] = decodeCbor(message.data) as Row;
    return number;
  }
}
