/** Erasing a device from the SQLite file, and the `erasure` rows with their actors. */
import type { Statement } from 'better-sqlite3';
import type { SeqRange } from '../../../shared/record.ts';
import type { ErasureWindow } from '../erasure.ts';
import { withdraw } from '../rules/rules.ts';
import type { Erasure, ErasureTarget } from '../types.ts';
import type { ConflictTable } from './conflicts.ts';
import { overwriteDeleted, type Sqlite } from './schema.ts';
import { ROW_BYTES, type ShareTables } from './shares.ts';
import type { StreamTable } from './streams.ts';

interface Erased {
  seq: number;
  arrival: number;
  bytes: number;
}

export class ErasureTable {
  readonly #db: Sqlite;
  readonly #streams: StreamTable;
  readonly #conflicts: ConflictTable;
  readonly #shares: ShareTables;
  readonly #remove: Statement<[number, number, number, string], Erased>;
  readonly #insert: Statement<[ErasureTarget & { actor: string; startedWallMs: number }], Erasure>;
  readonly #count: Statement<[{ id: number; records: number; versions: number }]>;
  readonly #finish: Statement<[number, number, number], Erasure>;
  readonly #newest: Statement<[number], Erasure>;

  constructor(db: Sqlite, streams: StreamTable, conflicts: ConflictTable, shares: ShareTables) {
    this.#db = db;
    this.#streams = streams;
    this.#conflicts = conflicts;
    this.#shares = shares;
    this.#remove = db.prepare(
      `DELETE FROM record WHERE stream_id = ? AND seq BETWEEN ? AND ? AND device = ?
       RETURNING seq, arrival_id AS arrival, ${ROW_BYTES} AS bytes`,
    );
    const columns = `id, device, gateway, actor, started_wall_ms AS startedWallMs, finished_wall_ms AS finishedWallMs,
      records, versions, dead_letters AS deadLetters`;
    this.#insert = db.prepare(
      `INSERT INTO erasure (device, gateway, actor, started_wall_ms) VALUES (:device, :gateway, :actor, :startedWallMs)
       RETURNING ${columns}`,
    );
    this.#count = db.prepare(
      'UPDATE erasure SET records = records + :records, versions = versions + :versions WHERE id = :id',
    );
    this.#finish = db.prepare(
      `UPDATE erasure SET dead_letters = ?, finished_wall_ms = ? WHERE id = ? RETURNING ${columns}`,
    );
    this.#newest = db.prepare(`SELECT ${columns} FROM erasure WHERE id > 0 ORDER BY id DESC LIMIT ?`);
  }

  begin({ device, gateway }: ErasureTarget, actor: string, startedWallMs: number): number {
    const begun = this.#insert.get({ device, gateway, actor, startedWallMs });
    return begun?.id ?? 0;
  }

  /** The streams to search. */
  streams({ gateway }: ErasureTarget): { id: number; max: number }[] {
    return Array.from(this.#streams.list(gateway ?? undefined), ({ id, state }) => ({
      id,
      max: state.seen.max,
    }));
  }

  /** Runs inside a transaction. */
  step(erasure: number, device: string, { streams, first, last }: ErasureWindow<{ id: number }>): void {
    let records = 0;
    let versions = 0;
    for (const { id } of streams) {
      const held = this.#remove.all(id, first, last, device);
      const aside = this.#conflicts.removeOf(id, { first, last }, device);
      records += held.length;
      versions += aside.length;
      for (const { arrival, bytes } of held) this.#shares.recordsLeft(arrival, bytes);
      const gone = [...held.map(({ seq }) => seq), ...aside].map(
        (seq): SeqRange => ({ first: seq, last: seq }),
      );
      if (gone.length === 0) continue;
      const { key, state } = this.#streams.loadId(id);
      this.#streams.change(key, { id, state: withdraw(state, gone, 'erasure') });
    }
    if (records + versions > 0) this.#count.run({ id: erasure, records, versions });
  }

  finish(erasure: number, deadLetters: number, finishedWallMs: number): Erasure {
    // Before it counts as finished.
    overwriteDeleted(this.#db);
    const done = this.#finish.get(deadLetters, finishedWallMs, erasure);
    if (!done) throw new Error(`there is no erasure ${erasure}`);
    return done;
  }

  newest(limit: number): Erasure[] {
    return this.#newest.all(limit);
  }
}
