/**
 * What the ledger keeps for people to look at: the other version of a record in conflict, and messages that are no
 * envelope. Both tables have a bound in rows and bytes (I10); the oldest row goes first, with a log line. The newest
 * row always stays, so that its id counts all there ever were.
 */
import type { Statement } from 'better-sqlite3';
import type { TelemetryRecord } from '../../shared/record.ts';
import type { SparseLog } from '../sparse-log.ts';
import type { DeadLetter, LedgerConflict, LedgerEntry, RecordVersion } from './ledger.ts';
import type { Sqlite } from './sqlite-schema.ts';

export interface EvidenceLimits {
  rowsMax: number;
  bytesMax: number;
}

const DETAIL_CHARACTERS_MAX = 500;

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
      `INSERT INTO conflict (start_bytes, stream_id, seq, source, received_wall_ms, mono_ms, device, topic, payload)
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
    this.#bound.append((startBytes) =>
      this.#insert.run(
        startBytes,
        streamId,
        seq,
        entry.source,
        entry.receivedWallMs,
        monoMs,
        device,
        topic,
        payload,
      ),
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

export class DeadLetterTable {
  readonly #bound: Bound;
  readonly #insert: Statement<[number, string, string, string, Uint8Array, number]>;
  readonly #newest: Statement<[number], DeadLetter>;

  constructor(db: Sqlite, limits: EvidenceLimits, log: SparseLog) {
    this.#bound = new Bound(db, { name: 'dead_letter', blob: 'bytes' }, limits, log);
    this.#insert = db.prepare(
      `INSERT INTO dead_letter (start_bytes, source, reason, detail, bytes, received_wall_ms) VALUES (?, ?, ?, ?, ?, ?)`,
    );
    this.#newest = db.prepare(
      `SELECT source, reason, detail, bytes, received_wall_ms AS receivedWallMs FROM dead_letter ORDER BY id DESC LIMIT ?`,
    );
  }

  add({ source, reason, detail, bytes, receivedWallMs }: DeadLetter): void {
    this.#bound.append((startBytes) =>
      this.#insert.run(
        startBytes,
        source,
        reason,
        detail.slice(0, DETAIL_CHARACTERS_MAX),
        bytes,
        receivedWallMs,
      ),
    );
  }

  newest(limit: number): DeadLetter[] {
    return this.#newest.all(limit);
  }

  /** How many there ever were. */
  count(): number {
    return this.#bound.newest().id;
  }
}

interface Edge {
  id: number;
  startBytes: number;
  endBytes: number;
}

/** Keeps a table within its limits. Rows leave at the old end only, so ids are dense and a size is one subtraction. */
class Bound {
  readonly #table: string;
  readonly #limits: EvidenceLimits;
  readonly #log: SparseLog;
  readonly #newest: Statement<[], Edge>;
  readonly #oldest: Statement<[], Edge>;
  readonly #drop: Statement<[number]>;

  constructor(
    db: Sqlite,
    table: { name: 'conflict' | 'dead_letter'; blob: 'payload' | 'bytes' },
    limits: EvidenceLimits,
    log: SparseLog,
  ) {
    this.#table = table.name;
    this.#limits = limits;
    this.#log = log;
    const edge = (order: 'ASC' | 'DESC'): Statement<[], Edge> =>
      db.prepare(
        `SELECT id, start_bytes AS startBytes, start_bytes + length(${table.blob}) AS endBytes
         FROM ${table.name} ORDER BY id ${order} LIMIT 1`,
      );
    this.#newest = edge('DESC');
    this.#oldest = edge('ASC');
    this.#drop = db.prepare(`DELETE FROM ${table.name} WHERE id = ?`);
  }

  newest(): Edge {
    return this.#newest.get() ?? { id: 0, startBytes: 0, endBytes: 0 };
  }

  /** Inserts the next row, then drops the oldest ones that are too much. */
  append(insert: (startBytes: number) => unknown): void {
    insert(this.newest().endBytes);
    const newest = this.newest();
    let dropped = 0;
    for (;;) {
      const oldest = this.#oldest.get();
      if (!oldest || oldest.id === newest.id || this.#fits(oldest, newest)) break;
      this.#drop.run(oldest.id);
      dropped += 1;
    }
    if (dropped > 0) this.#log.warn('ledger.evidence_dropped', { table: this.#table, rows: dropped });
  }

  #fits(oldest: Edge, newest: Edge): boolean {
    return (
      newest.id - oldest.id < this.#limits.rowsMax &&
      newest.endBytes - oldest.startBytes <= this.#limits.bytesMax
    );
  }
}
