/**
 * Values under subjects, the last one of each, and each with the commit that it is as of. A value is replaced only by one
 * of a later commit (compare-and-set), so that replicas that write at the same time never take one back.
 */
import { decode as decodeCbor, encode as encodeCbor } from 'cborg';
import type { Blobs, Packed } from './blobs.ts';
import type { Connection } from './connection.ts';
import type { Names } from './names.ts';

export interface Snapshot {
  /** Sequence of the last commit that is in the value. */
  at: number;
  value: unknown;
  /** Sequence of the snapshot's own message. */
  revision: number;
}

export class Snapshots {
  readonly #connection: Connection;
  readonly #blobs: Blobs;
  readonly #names: Names;

  constructor(connection: Connection, blobs: Blobs, names: Names) {
    this.#connection = connection;
    this.#blobs = blobs;
    this.#names = names;
  }

  async get(subject: string): Promise<Snapshot | null> {
    const message = await this.#connection.getLatest(this.#names.state, subject);
    return message === null ? null : this.#read(message.data, message.seq);
  }

  /**
   * Makes `value`, as of `at`, the last one, unless there is one of `at` or later. `revision` is a guess of the message
   * to replace, null for none; returns the one that stands.
   */
  async put(subject: string, at: number, value: unknown, guess: number | null): Promise<number> {
    const packed = await this.#blobs.pack(this.#names.large, encodeCbor(value));
    const bytes = encodeCbor([at, packed]);
    for (let revision = guess; ; ) {
      if (revision === null) {
        const found = await this.get(subject);
        if (found !== null && found.at >= at) return found.revision;
        revision = found?.revision ?? 0;
      }
      const stored = await this.#connection.publishAfter(this.#names.state, subject, revision, bytes);
      if (stored !== null) return stored;
      revision = null;
    }
  }

  /** All whose subject begins with `prefix`, which ends in a dot. */
  async *list(prefix: string): AsyncGenerator<Snapshot & { subject: string }> {
    for await (const { subject, seq, data } of this.#connection.list(this.#names.state, `${prefix}>`)) {
      yield { subject, ...(await this.#read(data, seq)) };
    }
  }

  async #read(data: Uint8Array, revision: number): Promise<Snapshot> {
    const [at, packed] = decodeCbor(data) as [number, Packed];
    const bytes = await this.#blobs.unpack(this.#names.records, packed);
    if (bytes === null) throw new Error('a part of a large value of the ledger is gone');
    return { at, value: decodeCbor(bytes), revision };
  }
}
