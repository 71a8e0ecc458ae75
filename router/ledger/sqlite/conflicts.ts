/** The `conflict` rows: the other version of a record in conflict, kept for inspection. */
import type { Statement } from 'better-sqlite3';
import type { SeqRange } from '../../../shared/record.ts';
import type { SparseLog } from '../../../shared/sparse-log.ts';
import { type ConflictRow, conflictOf } from '../sql/conflict-row.ts';
import type { LedgerConflict, RecordVersion } from '../types.ts';
import { EvidenceBound, type EvidenceLimits } from './evidence.ts';
import type { Sqlite } from './schema.ts';

export class ConflictTable {
  readonly #bound: EvidenceBound;
  readonly #insert: Statement<
    [RecordVersion & { id: number; streamId: number; seq: number; standing: 0 | 1 }]
  >;
  readonly #versions: Statement<[number, number], RecordVersion>;
  readonly #standsNoMore: Statement<[number, number]>;
  readonly #newest: Statement<[number], ConflictRow>;
  readonly #measure: Statement<[number, number, number], { rows: number; bytes: number }>;
  readonly #remove: Statement<[number, number, number]>;
  readonly #removeDevice: Statement<[number, number, number, string], { seq: number; bytes: number }>;

  constructor(db: Sqlite, limits: EvidenceLimits, log: SparseLog) {
    this.#bound = new EvidenceBound(db, { name: 'conflict', blob: 'payload' }, limits, log);
    this.#insert = db.prepare(
      `INSERT INTO conflict (id, stream_id, seq, standing, source, received_wall_ms, mono_ms, device, topic, payload)
       VALUES (:id, :streamId, :seq, :standing, :source, :receivedWallMs, :monoMs, :device, :topic, :payload)`,
    );
    this.#versions = db.prepare(
      `SELECT device, topic, payload, mono_ms AS monoMs, source, received_wall_ms AS receivedWallMs
       FROM conflict WHERE stream_id = ? AND seq = ?`,
    );
    this.#standsNoMore = db.prepare('UPDATE conflict SET standing = 0 WHERE stream_id = ? AND seq = ?');
    const ids = 'stream_id = ? AND seq BETWEEN ? AND ?';
    this.#measure = db.prepare(
      `SELECT count(*) AS rows, ifnull(sum(length(payload)), 0) AS bytes FROM conflict WHERE ${ids}`,
    );
    this.#remove = db.prepare(`DELETE FROM conflict WHERE ${ids}`);
    this.#removeDevice = db.prepare(
      `DELETE FROM conflict WHERE ${ids} AND device = ? RETURNING seq, length(payload) AS bytes`,
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

  /** `standing`: the version stood in the ledger until its id was put into quarantine. */
  add(streamId: number, seq: number, version: RecordVersion, standing: boolean): void {
    const { device, topic, payload, monoMs, source, receivedWallMs } = version;
    const row = { device, topic, payload, monoMs, source, receivedWallMs };
    this.#bound.append(payload.byteLength, receivedWallMs, (id) =>
      this.#insert.run({ id, streamId, seq, standing: standing ? 1 : 0, ...row }),
    );
  }

  /** Another record stands under the id now. */
  standsNoMore(streamId: number, seq: number): void {
    this.#standsNoMore.run(streamId, seq);
  }

  /** Deletes the versions of these ids, inside a transaction. */
  remove(streamId: number, { first, last }: SeqRange): void {
    const removed = this.#measure.get(streamId, first, last) ?? { rows: 0, bytes: 0 };
    if (removed.rows === 0) return;
    this.#remove.run(streamId, first, last);
    this.#bound.removed(removed);
  }

  /** Deletes the versions that a device sent; returns their ids. */
  removeOf(streamId: number, { first, last }: SeqRange, device: string): number[] {
    const removed = this.#removeDevice.all(streamId, first, last, device);
    const bytes = removed.reduce((sum, row) => sum + row.bytes, 0);
    if (removed.length > 0) this.#bound.removed({ rows: removed.length, bytes });
    return removed.map(({ seq }) => seq);
  }

  newest(limit: number): LedgerConflict[] {
    return this.#newest.all(limit).map(conflictOf);
  }
}
