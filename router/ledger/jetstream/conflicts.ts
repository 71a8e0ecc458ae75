/**
 * The versions kept aside for records in conflict. They are stored before the commit that counts them; a
 * version that no commit names (its commit lost, or its router was killed) is never listed. They are
 * bounded by account (account-bound.ts).
 */
import { encode as encodeCbor } from 'cborg';
import { decodeCbor } from '../../../shared/envelope/cbor.ts';
import type { StreamKey } from '../../../shared/record.ts';
import type { LedgerConflict, RecordVersion } from '../types.ts';
import { type AccountBound, accountName } from './account-bound.ts';
import type { Connection } from './connection.ts';
import type { EvidenceStream } from './evidence.ts';
import type { HeldVersions } from './held.ts';
import type { Blobs, Packed } from './log/blobs.ts';
import type { Aside } from './log/commit-format.ts';
import type { States } from './log/states.ts';
import type { StreamItem } from './log/stream-fold.ts';
import type { Names } from './names.ts';

type Row = [
  gateway: string,
  epoch: string,
  stream: string,
  seq: number,
  source: string,
  receivedWallMs: number,
  device: string,
  topic: string,
  monoMs: number,
  payload: Packed,
];

interface Kept extends StreamKey {
  seq: number;
  version: RecordVersion;
}

export class ConflictStore {
  readonly #connection: Connection;
  readonly #blobs: Blobs;
  readonly #names: Names;
  readonly #states: States;
  readonly #held: HeldVersions;
  readonly #stream: EvidenceStream;
  readonly #bound: AccountBound;

  constructor(parts: {
    connection: Connection;
    blobs: Blobs;
    names: Names;
    states: States;
    held: HeldVersions;
    stream: EvidenceStream;
    bound: AccountBound;
  }) {
    this.#connection = parts.connection;
    this.#blobs = parts.blobs;
    this.#names = parts.names;
    this.#states = parts.states;
    this.#held = parts.held;
    this.#stream = parts.stream;
    this.#bound = parts.bound;
  }

  /** Stores a version to keep aside; returns the sequence of its message. */
  async add({ gateway, epoch, stream }: StreamKey, seq: number, version: RecordVersion): Promise<number> {
    const { device, topic, monoMs, source, receivedWallMs } = version;
    await this.#stream.make();
    const account = accountName({ source, gateway });
    const payload = await this.#blobs.pack(this.#names.conflictPart, version.payload, account);
    const row: Row = [gateway, epoch, stream, seq, source, receivedWallMs, device, topic, monoMs, payload];
    const message = await this.#connection.publish(this.#names.conflict, encodeCbor(row), account);
    await this.#bound.added(version.payload.byteLength);
    return message;
  }

  /** Drops the versions beyond the bounds. */
  async expire(): Promise<void> {
    if (await this.#stream.isThere()) await this.#bound.trim();
  }

  /**
   * The version of a record that `aside` names. Null when the server dropped it, or when the stream was lost:
   * then its numbers are given again, to versions of other records.
   */
  async version(
    { gateway, epoch, stream }: StreamKey,
    { seq, message }: Aside,
  ): Promise<RecordVersion | null> {
    if (!(await this.#stream.isThere())) return null;
    const kept = await this.#kept(message);
    const isIts =
      kept?.gateway === gateway && kept.epoch === epoch && kept.stream === stream && kept.seq === seq;
    return isIts ? kept.version : null;
  }

  /** No effect when the message is gone already, or has another record's version. */
  async remove(message: number): Promise<void> {
    if (!(await this.#stream.isThere())) return;
    const found = await this.#connection.get(this.#names.conflicts, { seq: message });
    if (found?.subject !== this.#names.conflict) return;
    const [gateway, epoch, stream, , , , , , , packed] = decodeCbor(found.data) as Row;
    const item = await this.#states.stream({ gateway, epoch, stream });
    if (item?.aside.some((aside) => aside.message === message)) return;
    await this.#connection.remove(this.#names.conflicts, message);
    if (!(packed instanceof Uint8Array)) await this.#blobs.remove(this.#names.conflicts, packed);
  }

  /** The newest first, at most `limit`. */
  async newest(limit: number): Promise<LedgerConflict[]> {
    if (!(await this.#stream.isThere())) return [];
    const { first, last } = await this.#connection.extent(this.#names.conflicts);
    const found: LedgerConflict[] = [];
    for (let message = last; message >= first && found.length < limit; message -= 1) {
      const kept = await this.#kept(message);
      if (kept === null) continue;
      const { gateway, epoch, stream, seq, version } = kept;
      const item = await this.#states.stream(kept);
      const aside = item?.aside.find((one) => one.message === message);
      if (!item || !aside || aside.stood) continue;
      const held = await this.#standing(item, seq);
      if (held) found.push({ gateway, epoch, stream, seq, held, other: version });
    }
    return found;
  }

  /** The record of the id; for an id in quarantine, the record that stood before. */
  async #standing(item: StreamItem, seq: number): Promise<RecordVersion | null> {
    if (item.state.withdrawn.quarantine.has(seq)) {
      const stood = item.aside.find((aside) => aside.seq === seq && aside.stood);
      return stood ? this.version(item, stood) : null;
    }
    const [held] = await this.#held.of([{ key: item, seq }]);
    if (!held) return null;
    const { device, topic, payload, monoMs, source, receivedWallMs } = held;
    return { device, topic, payload, monoMs, source, receivedWallMs };
  }

  async #kept(seq: number): Promise<Kept | null> {
    const message = await this.#connection.get(this.#names.conflicts, { seq });
    if (message?.subject !== this.#names.conflict) return null;
    const row = decodeCbor(message.data) as Row;
    const payload = await this.#blobs.unpack(this.#names.conflicts, row[9]);
    if (payload === null) return null;
    return {
      gateway: row[0],
      epoch: row[1],
      stream: row[2],
      seq: row[3],
      version: {
        source: row[4],
        receivedWallMs: row[5],
        device: row[6],
        topic: row[7],
        monoMs: row[8],
        payload,
      },
    };
  }
}
