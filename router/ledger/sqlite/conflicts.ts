/** The `conflict` rows: the other version of a record in conflict, kept for inspection. */
import type { Statement } from 'better-sqlite3';
import type { SeqRange } from '../../../shared/record.ts';
import type { SparseLog } from '../../../shared/sparse-log.ts';
import type { AsideVersion } from '../rules/repeated.ts';
import type { EvidenceLimits, OnDropped } from '../rules/shares.ts';
import { type ConflictRow, conflictOf } from '../sql/conflict-row.ts';
import type { LedgerConflict, RecordVersion } from '../types.ts';
import { EvidenceBound, type Sized } from './evidence.ts';
import type { Sqlite } from './schema.ts';

export class ConflictTable {
  readonly #bound: EvidenceBound;
  readonly #insert: Statement<
    [RecordVersion & { id: number; streamId: number; seq: number; standing: 0 | 1; gateway: string }],
    Sized
  >;
  readonly #versions: Statement<[number, number], RecordVersion>;
  readonly #standsNoMore: Statement<[number, number]>;
  readonly #newest: Statement<[number], ConflictRow>;
  readonly #isThere: Statement<[number, number, number], 1>;
  readonly #remove: Statement<[number, number, number], Sized>;
  readonly #removeDevice: Statement<[number, number, number, string], Sized & { seq: number }>;

  constructor(
    db: Sqlite,
    limits: EvidenceLimits,
    deps: { log: SparseLog; onDropped?: OnDropped | undefined },
  ) {
    this.#bound = new EvidenceBound(db, 'conflict', limits, deps);
    const sized = `source, gateway, ${this.#bound.size}`;
    this.#insert = db.prepare(
      `INSERT INTO conflict (id, stream_id, seq, standing, source, received_wall_ms, mono_ms, device, topic, payload,
         gateway)
       VALUES (:id, :streamId, :seq, :standing, :source, :receivedWallMs, :monoMs, :device, :topic, :payload, :gateway)
       RETURNING ${sized}`,
    );
    this.#versions = db.prepare(
      `SELECT device, topic, payload, mono_ms AS monoMs, source, received_wall_ms AS receivedWallMs
       FROM conflict WHERE stream_id = ? AND seq = ?`,
    );
    this.#standsNoMore = db.prepare('UPDATE conflict SET standing = 0 WHERE stream_id = ? AND seq = ?');
    const ids = 'stream_id = ? AND seq BETWEEN ? AND ?';
    this.#isThere = db
      .prepare<[number, number, number], 1>(`SELECT 1 FROM conflict WHERE ${ids} LIMIT 1`)
      .pluck();
    this.#remove = db.prepare(`DELETE FROM conflict WHERE ${ids} RETURNING ${sized}`);
    this.#removeDevice = db.prepare(
      `DELETE FROM conflict WHERE ${ids} AND device = ? RETURNING seq, ${sized}`,
    );
    this.#newest = db.prepare(
      `SELECT stream.gateway, stream.epoch, stream.stream, c.seq, c.device, c.topic, c.payload, c.mono_ms AS monoMs, c.source,
         c.received_wall_ms AS receivedWallMs, ifnull(r.device, f.device) AS heldDevice,
         ifnull(r.topic, f.topic) AS heldTopic, ifnull(r.payload, f.payload) AS heldPayload,
         ifnull(r.mono_ms, f.mono_ms) AS heldMonoMs, ifnull(a.source, f.source) AS heldSource,
         ifnull(a.received_wall_ms, f.received_wall_ms) AS heldReceivedWallMs
       FROM conflict c JOIN stream ON stream.id = c.stream_id
         LEFT JOIN record r ON r.stream_id = c.stream_id AND r.seq = c.seq LEFT JOIN arrival a ON a.id = r.arrival_id
         LEFT JOIN conflict f ON f.stream_id = c.stream_id AND f.seq = c.seq AND f.standing = 1
       WHERE c.standing = 0 AND (r.offset IS NOT NULL OR f.id IS NOT NULL)
       ORDER BY c.id DESC LIMIT ?`,
    );
  }

  /** The versions kept aside under one id. */
  versions(streamId: number, seq: number): RecordVersion[] {
    return this.#versions.all(streamId, seq);
  }

  /** `stood`: the version stood in the ledger until its id was put into quarantine. */
  add(streamId: number, gateway: string, { seq, version, stood }: AsideVersion): void {
    const { device, topic, payload, monoMs, source, receivedWallMs } = version;
    const row = { device, topic, payload, monoMs, source, receivedWallMs, gateway };
    this.#bound.append(receivedWallMs, (id) => {
      const inserted = this.#insert.get({ id, streamId, seq, standing: stood ? 1 : 0, ...row });
      if (!inserted) throw new Error('no version was inserted');
      return inserted;
    });
  }

  /** Another record stands under the id now. */
  standsNoMore(streamId: number, seq: number): void {
    this.#standsNoMore.run(streamId, seq);
  }

  /** Deletes the versions of these ids, inside a transaction. */
  remove(streamId: number, { first, last }: SeqRange): void {
    if (this.#isThere.get(streamId, first, last) === undefined) return;
    this.#bound.remove(() => this.#remove.all(streamId, first, last));
  }

  /** Drops the versions beyond the bounds, inside a transaction. */
  expire(nowWallMs: number): void {
    this.#bound.expire(nowWallMs);
  }

  /** Deletes the versions that a device sent; returns their ids. */
  removeOf(streamId: number, { first, last }: SeqRange, device: string): number[] {
    if (this.#isThere.get(streamId, first, last) === undefined) return [];
    const removed = this.#bound.remove(() => this.#removeDevice.all(streamId, first, last, device));
    return removed.map(({ seq }) => seq);
  }

  newest(limit: number): LedgerConflict[] {
    return this.#newest.all(limit).map(conflictOf);
  }
}
