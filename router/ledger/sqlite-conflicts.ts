/** The `conflict` rows: the other version of a record in conflict, kept for people to look at. */
import type { Statement } from 'better-sqlite3';
import type { TelemetryRecord } from '../../shared/record.ts';
import type { SparseLog } from '../sparse-log.ts';
import type { LedgerConflict, LedgerEntry, RecordVersion } from './ledger.ts';
import { Bound, type EvidenceLimits } from './sqlite-bound.ts';
import type { Sqlite } from './sqlite-schema.ts';

type ConflictRow = Omit<LedgerConflict, 'held' | 'other'> &
  RecordVersion & {
    heldDevice: string;
    heldTopic: string;
    heldPayload: Uint8Array;
    heldMonoMs: number;
    heldSource: string;
    heldReceivedWallMs: number;
  };

export class ConflictTable {
  readonly #bound: Bound;
  readonly #insert: Statement<[number, number, number, string, number, number, string, string, Uint8Array]>;
  readonly #versions: Statement<[number, number], RecordVersion>;
  readonly #newest: Statement<[number], ConflictRow>;

  constructor(db: Sqlite, limits: EvidenceLimits, log: SparseLog) {
    this.#bound = new Bound(db, { name: 'conflict', blob: 'payload' }, limits, log);
    this.#insert = db.prepare(
      `INSERT INTO conflict (id, stream_id, seq, source, received_wall_ms, mono_ms, device, topic, payload)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#versions = db.prepare(
      `SELECT device, topic, payload, mono_ms AS monoMs, source, received_wall_ms AS receivedWallMs
       FROM conflict WHERE stream_id = ? AND seq = ?`,
    );
    this.#newest = db.prepare(
      `SELECT gateway, epoch, stream, c.seq, c.device, c.topic, c.payload, c.mono_ms AS monoMs, c.source,
         c.received_wall_ms AS receivedWallMs, r.device AS heldDevice, r.topic AS heldTopic,
         r.payload AS heldPayload, r.mono_ms AS heldMonoMs, a.source AS heldSource,
         a.received_wall_ms AS heldReceivedWallMs
       FROM conflict c JOIN stream ON stream.id = c.stream_id
         JOIN record r ON r.stream_id = c.stream_id AND r.seq = c.seq JOIN arrival a ON a.id = r.arrival_id
       ORDER BY c.id DESC LIMIT ?`,
    );
  }

  /** The versions kept aside under one id. */
  versions(streamId: number, seq: number): RecordVersion[] {
    return this.#versions.all(streamId, seq);
  }

  add(streamId: number, entry: LedgerEntry, record: TelemetryRecord): void {
    const { seq, monoMs, device, topic, payload } = record;
    this.#bound.append(payload.byteLength, entry.receivedWallMs, (id) =>
      this.#insert.run(id, streamId, seq, entry.source, entry.receivedWallMs, monoMs, device, topic, payload),
    );
  }

  newest(limit: number): LedgerConflict[] {
    return this.#newest.all(limit).map((row) => ({
      gateway: row.gateway,
      epoch: row.epoch,
      stream: row.stream,
      seq: row.seq,
      held: {
        device: row.heldDevice,
        topic: row.heldTopic,
        payload: row.heldPayload,
        monoMs: row.heldMonoMs,
        source: row.heldSource,
        receivedWallMs: row.heldReceivedWallMs,
      },
      other: {
        device: row.device,
        topic: row.topic,
        payload: row.payload,
        monoMs: row.monoMs,
        source: row.source,
        receivedWallMs: row.receivedWallMs,
      },
    }));
  }
}
