/**
 * The `stream` rows: one small row per (gateway, epoch, stream). Decoded sets of the most recently used
 * streams stay in memory, so memory follows the active streams and not all streams (I10).
 *
 * The changes of a transaction enter the cache only after its COMMIT; a rollback leaves the cache unchanged.
 */
import type { Statement } from 'better-sqlite3';
import type { StreamKey } from '../../../shared/record.ts';
import { BEFORE_ALL, type PageQuery } from '../paging.ts';
import { EMPTY_STREAM, type StreamState } from '../rules/rules.ts';
import { decodeState, encodeState, type StateColumns } from '../sql/stream-columns.ts';
import type { Sqlite } from './schema.ts';

interface StreamRow extends StreamKey, StateColumns {
  id: number;
}

/** A stream and its row id. */
export interface StoredStream {
  readonly id: number;
  readonly state: StreamState;
}

const COLUMNS = `id, gateway, epoch, stream, seen, gap_quota AS gapQuota, gap_age AS gapAge,
  gap_corruption AS gapCorruption, gap_other AS gapOther, withdrawn, sealed_at AS sealedAt, duplicates, conflicts, proof`;

export class StreamTable {
  readonly #cacheSize: number;
  /** Least recently used first. */
  readonly #cache = new Map<string, StoredStream>();
  readonly #changed = new Map<string, StoredStream>();
  readonly #select: Statement<[string, string, string], StreamRow>;
  readonly #selectId: Statement<[number], StreamRow>;
  readonly #selectAll: Statement<[], StreamRow>;
  readonly #selectGateway: Statement<[string], StreamRow>;
  readonly #selectPage: Statement<[string, string, string, number], StreamRow>;
  readonly #selectGatewayPage: Statement<[string, string, string, number], StreamRow>;
  readonly #insert: Statement<[StreamKey & StateColumns]>;
  readonly #update: Statement<[StateColumns & { id: number }]>;

  /** `cacheSize`: most decoded streams in memory. */
  constructor(db: Sqlite, cacheSize: number) {
    this.#cacheSize = cacheSize;
    this.#select = db.prepare(`SELECT ${COLUMNS} FROM stream WHERE gateway = ? AND epoch = ? AND stream = ?`);
    this.#selectId = db.prepare(`SELECT ${COLUMNS} FROM stream WHERE id = ?`);
    this.#selectAll = db.prepare(`SELECT ${COLUMNS} FROM stream WHERE id > 0 ORDER BY gateway, id`);
    this.#selectGateway = db.prepare(
      `SELECT ${COLUMNS} FROM stream WHERE gateway = ? AND id > 0 ORDER BY id`,
    );
    this.#selectPage = db.prepare(
      `SELECT ${COLUMNS} FROM stream WHERE id > 0 AND (gateway, epoch, stream) > (?, ?, ?)
       ORDER BY gateway, epoch, stream LIMIT ?`,
    );
    this.#selectGatewayPage = db.prepare(
      `SELECT ${COLUMNS} FROM stream WHERE id > 0 AND gateway = ? AND (epoch, stream) > (?, ?)
       ORDER BY epoch, stream LIMIT ?`,
    );
    this.#insert = db.prepare(
      `INSERT INTO stream (gateway, epoch, stream, seen, gap_quota, gap_age, gap_corruption, gap_other,
         withdrawn, sealed_at, duplicates, conflicts, proof)
       VALUES (:gateway, :epoch, :stream, :seen, :gapQuota, :gapAge, :gapCorruption, :gapOther,
         :withdrawn, :sealedAt, :duplicates, :conflicts, :proof)`,
    );
    this.#update = db.prepare(
      `UPDATE stream SET seen = :seen, gap_quota = :gapQuota, gap_age = :gapAge, gap_corruption = :gapCorruption,
       gap_other = :gapOther, withdrawn = :withdrawn, sealed_at = :sealedAt, duplicates = :duplicates, conflicts = :conflicts,
       proof = :proof WHERE id = :id`,
    );
  }

  /** The stream in the running transaction; creates an empty row for a new stream. */
  load({ gateway, epoch, stream }: StreamKey): StoredStream {
    const key = cacheKey(gateway, epoch, stream);
    const known = this.#changed.get(key) ?? this.#cache.get(key);
    if (known) return known;
    const row = this.#select.get(gateway, epoch, stream);
    if (row) return { id: row.id, state: decodeState(row) };
    const made = this.#insert.run({ gateway, epoch, stream, ...encodeState(EMPTY_STREAM) });
    return { id: Number(made.lastInsertRowid), state: EMPTY_STREAM };
  }

  /** The stream's row; creates nothing. */
  find({ gateway, epoch, stream }: StreamKey): StoredStream | null {
    const row = this.#select.get(gateway, epoch, stream);
    return row ? { id: row.id, state: decodeState(row) } : null;
  }

  /** Like {@link load}, for an existing row. */
  loadId(id: number): StoredStream & { key: StreamKey } {
    const row = this.#selectId.get(id);
    if (!row) throw new Error(`there is no stream ${id}`);
    const { gateway, epoch, stream } = row;
    const key = { gateway, epoch, stream };
    return { key, ...this.load(key) };
  }

  /** Remembers a new state; {@link write} stores it in the row. */
  change({ gateway, epoch, stream }: StreamKey, changed: StoredStream): void {
    this.#changed.set(cacheKey(gateway, epoch, stream), changed);
  }

  /** Writes every changed row, once each however many envelopes touched it. */
  write(): void {
    for (const { id, state } of this.#changed.values()) this.#update.run({ id, ...encodeState(state) });
  }

  /** Called after COMMIT: moves the changes to the cache. */
  committed(): void {
    for (const [key, stored] of this.#changed) {
      this.#cache.delete(key);
      this.#cache.set(key, stored);
    }
    this.#changed.clear();
    for (const key of this.#cache.keys()) {
      if (this.#cache.size <= this.#cacheSize) break;
      this.#cache.delete(key);
    }
  }

  /** Called after ROLLBACK. */
  rolledBack(): void {
    this.#changed.clear();
  }

  /** Another connection wrote to the file: drops the cache. */
  forgetAll(): void {
    this.#cache.clear();
  }

  /** All streams, or one gateway's, from their rows. */
  *list(gateway: string | undefined): Generator<StoredStream & { key: StreamKey }> {
    const rows = gateway === undefined ? this.#selectAll.all() : this.#selectGateway.all(gateway);
    for (const row of rows) yield { id: row.id, key: row, state: decodeState(row) };
  }

  /** The streams after a key, one more than `limit` where there are more; by the index of the key. */
  page({ gateway, after, limit }: PageQuery): { key: StreamKey; state: StreamState }[] {
    const from = after ?? BEFORE_ALL;
    const rows =
      gateway === undefined
        ? this.#selectPage.all(from.gateway, from.epoch, from.stream, limit + 1)
        : this.#selectGatewayPage.all(gateway, from.epoch, from.stream, limit + 1);
    return rows.map((row) => ({ key: row, state: decodeState(row) }));
  }
}

/** Names may hold any character: with a plain separator two keys could be the same text. */
function cacheKey(gateway: string, epoch: string, stream: string): string {
  return JSON.stringify([gateway, epoch, stream]);
}
