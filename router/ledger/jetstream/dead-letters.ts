/**
 * Messages that are no valid envelope for this ledger, bounded by account (account-bound.ts). A
 * dead letter's id is the sequence of its message, and each message carries the count of all letters before
 * it. When the last message is removed, the count is kept in another message.
 */
import { encode as encodeCbor } from 'cborg';
import { decodeCbor } from '../../../shared/envelope/cbor.ts';
import type { DeadLetterFilter, DeadLetterHead, StoredDeadLetter } from '../maintenance.ts';
import { cutDetail } from '../sql/dead-letter-columns.ts';
import type { DeadLetter } from '../types.ts';
import { type AccountBound, accountName } from './account-bound.ts';
import type { Connection } from './connection.ts';
import type { EvidenceStream } from './evidence.ts';
import type { Blobs, Packed } from './log/blobs.ts';
import type { Names } from './names.ts';

/** Concurrent reads of messages. */
const READ_WIDTH = 64;

type Row = [
  number: number,
  source: string,
  reason: string,
  detail: string,
  receivedWallMs: number,
  bytes: Packed,
  /** Absent in data of earlier versions. */
  authenticatedGateway?: string | null,
  properties?: Record<string, string>,
  sizeBytes?: number,
];

interface Kept {
  id: number;
  row: Row;
}

export class DeadLetterStore {
  readonly #connection: Connection;
  readonly #blobs: Blobs;
  readonly #names: Names;
  readonly #stream: EvidenceStream;
  readonly #bound: AccountBound;
  readonly #ageMsMax: number;
  #adding: Promise<void> = Promise.resolve();

  constructor(parts: {
    connection: Connection;
    blobs: Blobs;
    names: Names;
    stream: EvidenceStream;
    bound: AccountBound;
    ageMsMax: number;
  }) {
    this.#connection = parts.connection;
    this.#blobs = parts.blobs;
    this.#names = parts.names;
    this.#stream = parts.stream;
    this.#bound = parts.bound;
    this.#ageMsMax = parts.ageMsMax;
  }

  /**
   * Adds one letter at a time: of concurrent adds the server accepts one, and the others would have to start
   * again.
   */
  add(letter: DeadLetter): Promise<void> {
    const added = this.#adding.then(() => this.#add(letter));
    this.#adding = added.catch(() => undefined);
    return added;
  }

  /** The newest first, at most `limit`. */
  async newest(limit: number): Promise<StoredDeadLetter[]> {
    const found: StoredDeadLetter[] = [];
    for await (const kept of this.#all()) {
      if (found.length >= limit) break;
      const letter = await this.#whole(kept);
      if (letter) found.push(letter);
    }
    return found;
  }

  async heads(filter: DeadLetterFilter, limit: number): Promise<DeadLetterHead[]> {
    const found: DeadLetterHead[] = [];
    for await (const kept of this.#all()) {
      if (found.length >= limit) break;
      const head = headOf(kept);
      if (isMeant(head, filter)) found.push(head);
    }
    return found;
  }

  async load(id: number): Promise<StoredDeadLetter | null> {
    const kept = (await this.#stream.isThere()) ? await this.#kept(id) : null;
    return kept && this.#whole(kept);
  }

  /** Returns the number of removed letters. */
  async remove(filter: DeadLetterFilter): Promise<number> {
    const meant: Kept[] = [];
    for await (const kept of this.#all()) if (isMeant(headOf(kept), filter)) meant.push(kept);
    return this.#removeAll(meant.reverse());
  }

  /** Removes the letters that are older than the bound at `nowWallMs`, and those beyond the bounds. */
  async expire(nowWallMs: number): Promise<void> {
    if (!(await this.#stream.isThere())) return;
    const old: Kept[] = [];
    const { deadLetters, deadLetter } = this.#names;
    for (let from = 1; ; from = (old.at(-1)?.id ?? 0) + 1) {
      const message = await this.#connection.get(deadLetters, { seq: from, next_by_subj: deadLetter });
      const kept = message && { id: message.seq, row: decodeCbor(message.data) as Row };
      if (!kept || headOf(kept).receivedWallMs >= nowWallMs - this.#ageMsMax) break;
      old.push(kept);
    }
    await this.#removeAll(old);
    await this.#bound.trim();
  }

  /** The count of all letters ever added. */
  async count(): Promise<number> {
    if (!(await this.#stream.isThere())) return 0;
    const { deadLetters, deadLetter } = this.#names;
    // In this order: the count is written before the message is removed.
    const message = await this.#connection.getLatest(deadLetters, deadLetter);
    const removed = await this.#removedCount();
    const [number] = message === null ? [0] : (decodeCbor(message.data) as Row);
    return Math.max(number, removed);
  }

  async #add(letter: DeadLetter): Promise<void> {
    const { source, reason, bytes, receivedWallMs, authenticatedGateway = null, properties = {} } = letter;
    await this.#stream.make();
    const detail = cutDetail(letter.detail);
    const account = accountName({ source, gateway: letter.gateway ?? '' });
    const packed = await this.#blobs.pack(this.#names.deadLetterPart, bytes, account);
    for (let stored: number | null = null; stored === null; ) {
      const { last } = await this.#connection.extent(this.#names.deadLetters);
      const number = (await this.count()) + 1;
      const row: Row = [
        number,
        source,
        reason,
        detail,
        receivedWallMs,
        packed,
        authenticatedGateway,
        { ...properties },
        bytes.length,
      ];
      const { deadLetters, deadLetter } = this.#names;
      stored = await this.#connection.publishAfter(deadLetters, deadLetter, last, encodeCbor(row), account);
    }
    await this.#bound.added(bytes.length);
  }

  async #removedCount(): Promise<number> {
    const { cursors, deadLettersRemoved } = this.#names;
    const message = await this.#connection.getLatest(cursors, deadLettersRemoved);
    return message === null ? 0 : Number(Buffer.from(message.data).toString());
  }

  /** `letters`: the oldest first. */
  async #removeAll(letters: readonly Kept[]): Promise<number> {
    const number = letters.at(-1)?.row[0] ?? 0;
    if (number > (await this.#removedCount())) {
      await this.#connection.publish(this.#names.deadLettersRemoved, Buffer.from(String(number)));
    }
    let removed = 0;
    for (const { id, row } of letters) {
      const packed = row[5];
      const parts = packed instanceof Uint8Array ? [] : packed;
      if (await this.#connection.remove(this.#names.deadLetters, id)) removed += 1;
      for (const part of parts) await this.#connection.remove(this.#names.deadLetters, part);
    }
    return removed;
  }

  /** The newest first; several are read at once. */
  async *#all(): AsyncGenerator<Kept> {
    if (!(await this.#stream.isThere())) return;
    const { first, last } = await this.#connection.extent(this.#names.deadLetters);
    for (let end = last; end >= first; end -= READ_WIDTH) {
      const ids = Array.from({ length: Math.min(READ_WIDTH, end - first + 1) }, (_, i) => end - i);
      const found = await Promise.all(ids.map((id) => this.#kept(id)));
      for (const kept of found) if (kept) yield kept;
    }
  }

  async #kept(id: number): Promise<Kept | null> {
    const message = await this.#connection.get(this.#names.deadLetters, { seq: id });
    if (message?.subject !== this.#names.deadLetter) return null;
    return { id, row: decodeCbor(message.data) as Row };
  }

  /** Null when a part of the letter is gone. */
  async #whole(kept: Kept): Promise<StoredDeadLetter | null> {
    const { row } = kept;
    const bytes = await this.#blobs.unpack(this.#names.deadLetters, row[5]);
    if (bytes === null) return null;
    const head = { ...headOf(kept), sizeBytes: bytes.length };
    return { ...head, bytes, authenticatedGateway: row[6] ?? null, properties: row[7] ?? {} };
  }
}

function headOf({ id, row }: Kept): DeadLetterHead {
  const [, source, reason, detail, receivedWallMs, packed] = row;
  const sizeBytes = row[8] ?? (packed instanceof Uint8Array ? packed.length : 0);
  return { id, source, reason, detail, receivedWallMs, sizeBytes };
}

function isMeant(head: DeadLetterHead, { ids, source, reason, beforeWallMs }: DeadLetterFilter): boolean {
  return (
    (ids === undefined || ids.includes(head.id)) &&
    (source === undefined || source === head.source) &&
    (reason === undefined || reason === head.reason) &&
    (beforeWallMs === undefined || head.receivedWallMs < beforeWallMs)
  );
}
