/** Bytes of any size in messages of bounded size: one message, or several parts. */
import type { Connection } from '../connection.ts';

/** Sequences of the parts, in order. */
export type Parts = readonly number[];
/** Small content inside another message, or the sequences of its parts. */
export type Packed = Uint8Array | Parts;

/** Room for the rest of a message that contains the bytes. */
const ROOM_BYTES = 64 * 1024;

export class Blobs {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Stores `bytes` as messages of `subject`; they count only once a later message names their sequences. */
  put(subject: string, bytes: Uint8Array, account: string | null = null): Promise<Parts> {
    const max = this.#connection.messageBytesMax;
    const parts = Array.from({ length: Math.max(1, Math.ceil(bytes.length / max)) }, (_, i) =>
      bytes.subarray(i * max, (i + 1) * max),
    );
    return Promise.all(parts.map((part) => this.#connection.publish(subject, part, account)));
  }

  /** Null when a part is gone. */
  async get(stream: string, parts: Parts): Promise<Uint8Array | null> {
    const messages = await Promise.all(parts.map((seq) => this.#connection.get(stream, { seq })));
    const found = messages.flatMap((message) => (message === null ? [] : [message.data]));
    if (found.length < parts.length) return null;
    const [only] = found;
    return found.length === 1 && only ? only : Buffer.concat(found);
  }

  /** The server overwrites the old content. */
  async remove(stream: string, parts: Parts): Promise<void> {
    await Promise.all(parts.map((seq) => this.#connection.remove(stream, seq)));
  }

  async pack(subject: string, bytes: Uint8Array, account: string | null = null): Promise<Packed> {
    const fits = bytes.length <= this.#connection.messageBytesMax - ROOM_BYTES;
    return fits ? bytes : this.put(subject, bytes, account);
  }

  async unpack(stream: string, packed: Packed): Promise<Uint8Array | null> {
    return packed instanceof Uint8Array ? packed : this.get(stream, packed);
  }
}
