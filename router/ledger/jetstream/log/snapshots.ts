/**
 * The last value of each subject, with the commit that it is current to. Their JetStream stream contains
 * nothing else, and each writer writes a chain: each message is accepted only directly after the one before
 * it. When two replicas write at the same time, the chain of one breaks, and that replica leaves the rest to
 * the other.
 */
import { encode as encodeCbor } from 'cborg';
import { decodeCbor } from '../../../../shared/envelope/cbor.ts';
import type { Connection } from '../connection.ts';
import type { Names } from '../names.ts';
import type { Blobs, Packed } from './blobs.ts';

export interface Snapshot {
  /** Sequence of the last commit in the value. */
  at: number;
  value: unknown;
}

export interface NewSnapshot extends Snapshot {
  subject: string;
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
    return message === null ? null : this.#read(message.data);
  }

  /** The sequence that the next chain must follow. */
  async end(): Promise<number> {
    return (await this.#connection.extent(this.#names.state)).last;
  }

  /**
   * Writes `values` as a chain after the sequence `after`; returns the last sequence. Rejects when another
   * replica wrote in between.
   */
  async write(values: readonly NewSnapshot[], after: number): Promise<number> {
    const messages = await Promise.all(
      values.map(async ({ subject, at, value }) => {
        const packed = await this.#blobs.pack(this.#names.large, encodeCbor(value));
        return { subject, bytes: encodeCbor([at, packed]) };
      }),
    );
    return this.#connection.publishChain(messages, after);
  }

  /** All values whose subject begins with `prefix`, which ends in a dot. */
  async *list(prefix: string): AsyncGenerator<NewSnapshot> {
    for await (const { subject, data } of this.#connection.list(this.#names.state, `${prefix}>`)) {
      yield { subject, ...(await this.#read(data)) };
    }
  }

  async #read(data: Uint8Array): Promise<Snapshot> {
    const [at, packed] = decodeCbor(data) as [number, Packed];
    const bytes = await this.#blobs.unpack(this.#names.records, packed);
    if (bytes === null) throw new Error('a part of a large value of the ledger is gone');
    return { at, value: decodeCbor(bytes) };
  }
}
