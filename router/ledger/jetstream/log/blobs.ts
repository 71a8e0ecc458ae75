/** Bytes of any size in messages of a bounded size: one message, or as many parts as it takes. */
import type { Connection } from '../connection.ts';

/** Where the parts are, in order. */
export type Parts = readonly number[];
/** The bytes themselves, where they are few enough to travel inside another message, or where they are. */
export type Packed = Uint8Array | Parts;

/** What else is in the message that bytes travel inside. */
const ROOM_BYTES = 64 * 1024;

export class Blobs {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Stores `bytes` as messages of `subject`; they mean nothing until something stored later names their
   * sequences.
   */
  put(subject: string, bytes: Uint8Array): Promise<Parts> {
    const max = this.#connection.messageBytesMax;
    const parts = Array.from({ length: Math.max(1, Math.ceil(bytes.length / max)) }, (_, i) =>
      bytes.subarray(i * max, (i + 1) * max),
    );
    return Promise.all(parts.map((part) => this.#connection.publish(subject, part)));
  }

  /** Null when a part is gone. */
  async get(stream: string, parts: Parts): Promise<Uint8Array | null> {
    const messages = await Promise.all(parts.map((seq) => this.#connection.get(stream, { seq })));
    const found = messages.flatMap((message) => (message === null ? [] : [message.data]));
    if (found.length < parts.length) return null;
    const [only] = found;
    return found.length === 1 && only ? only : Buffer.concat(found);
  }

  /** The server overwrites what was there. */
  async remove(stream: string, parts: Parts): Promise<void> {
    await Promise.all(parts.map((seq) => this.#connection.remove(stream, seq)));
  }

  async pack(subject: string, bytes: Uint8Array): Promise<Packed> {
    const fits = bytes.length <= this.#connection.messageBytesMax - ROOM_BYTES;
    return fits ? bytes : this.put(subject, bytes);
  }

  async unpack(stream: string, packed: Packed): Promise<Uint8Array | null> {
    return packed instanceof Uint8Array ? packed : this.get(stream, packed);
  }
}
