/**
 * Keeps a table of evidence within its bound in rows and bytes (I10): the oldest row is dropped first, with a
 * log line. Rows may be removed anywhere; ids are never reused.
 */
import type { Statement } from 'better-sqlite3';
import type { SparseLog } from '../../../shared/sparse-log.ts';
import type { Sqlite } from './schema.ts';

export interface EvidenceLimits {
  rowsMax: number;
  bytesMax: number;
  /** By wall time of receipt. Default: no bound. */
  ageMsMax?: number;
}

interface Kept {
  ever: number;
  rows: number;
  bytes: number;
}

interface Oldest {
  id: number;
  bytes: number;
  receivedWallMs: number;
}

export class EvidenceBound {
  readonly #table: 'conflict' | 'dead_letter';
  readonly #limits: EvidenceLimits;
  readonly #log: SparseLog;
  readonly #kept: Statement<[string], Kept>;
  readonly #save: Statement<[Kept & { name: string }]>;
  readonly #oldest: Statement<[], Oldest>;
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
    this.#kept = db.prepare('SELECT ever, rows, bytes FROM kept WHERE name = ?');
    this.#save = db.prepare('UPDATE kept SET ever = :ever, rows = :rows, bytes = :bytes WHERE name = :name');
    this.#oldest = db.prepare(
      `SELECT id, length(${table.blob}) AS bytes, received_wall_ms AS receivedWallMs FROM ${table.name} WHERE id > 0 ORDER BY id LIMIT 1`,
    );
    this.#drop = db.prepare(`DELETE FROM ${table.name} WHERE id = ?`);
  }

  /** The count of all rows ever added. */
  ever(): number {
    return this.#read().ever;
  }

  /**
   * Inserts the next row, of `bytes`, then drops the oldest rows beyond the bound; the newest always stays.
   */
  append(bytes: number, nowWallMs: number, insert: (id: number) => unknown): void {
    const kept = this.#read();
    const next = { ever: kept.ever + 1, rows: kept.rows + 1, bytes: kept.bytes + bytes };
    insert(next.ever);
    this.#trim(next, nowWallMs, 1);
  }

  /** Counts removed rows, inside the transaction that removed them. */
  removed(removed: { rows: number; bytes: number }): void {
    const { ever, rows, bytes } = this.#read();
    this.#write({ ever, rows: rows - removed.rows, bytes: bytes - removed.bytes });
  }

  /** Drops rows that are too old, inside a transaction. */
  expire(nowWallMs: number): void {
    this.#trim(this.#read(), nowWallMs, 0);
  }

  #trim(kept: Kept, nowWallMs: number, rowsMin: number): void {
    const { rowsMax, bytesMax, ageMsMax = Number.POSITIVE_INFINITY } = this.#limits;
    const { ever } = kept;
    let { rows, bytes } = kept;
    while (rows > rowsMin) {
      const oldest = this.#oldest.get();
      if (!oldest) break;
      const expired = nowWallMs - oldest.receivedWallMs > ageMsMax;
      if (rows <= rowsMax && bytes <= bytesMax && !expired) break;
      this.#drop.run(oldest.id);
      rows -= 1;
      bytes -= oldest.bytes;
    }
    this.#write({ ever, rows, bytes });
    if (rows === kept.rows) return;
    this.#log.warn('ledger.evidence_dropped', { table: this.#table, rows: kept.rows - rows });
  }

  #read(): Kept {
    return this.#kept.get(this.#table) ?? { ever: 0, rows: 0, bytes: 0 };
  }

  #write(kept: Kept): void {
    this.#save.run({ name: this.#table, ...kept });
  }
}
