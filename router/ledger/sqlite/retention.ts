/** Removes records from the SQLite file by whole arrivals: the new records of one envelope. */
import type { Statement } from 'better-sqlite3';
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { Retained } from '../maintenance.ts';
import { expired, type RetentionRules, type Volume } from '../rules/retention.ts';
import { withdraw } from '../rules/rules.ts';
import type { ConflictTable } from './conflicts.ts';
import type { Sqlite } from './schema.ts';
import type { StreamTable } from './streams.ts';

/** Bounds of one step, which blocks commits while it runs. */
const RECORDS_PER_STEP = 2000;
const ARRIVALS_PER_STEP = 200;

interface Arrival {
  id: number;
  streamId: number;
  firstOffset: number;
  lastOffset: number;
}

export class RetentionTables {
  readonly #streams: StreamTable;
  readonly #conflicts: ConflictTable;
  readonly #volumes: Statement<[], Volume>;
  readonly #removeVolume: Statement<[string, number]>;
  readonly #arrivals: Statement<[string, number], Arrival>;
  readonly #removeArrival: Statement<[number]>;
  readonly #removeRecords: Statement<[number, number, number], number>;

  constructor(db: Sqlite, streams: StreamTable, conflicts: ConflictTable) {
    this.#streams = streams;
    this.#conflicts = conflicts;
    this.#volumes = db.prepare('SELECT stream, hour, bytes FROM volume WHERE hour >= 0');
    this.#removeVolume = db.prepare('DELETE FROM volume WHERE stream = ? AND hour = ?');
    this.#arrivals = db.prepare(
      `SELECT id, stream_id AS streamId, first_offset AS firstOffset, last_offset AS lastOffset
       FROM arrival WHERE stream = ? AND hour = ? LIMIT ${ARRIVALS_PER_STEP}`,
    );
    this.#removeArrival = db.prepare('DELETE FROM arrival WHERE id = ?');
    this.#removeRecords = db
      .prepare<[number, number, number], number>(
        'DELETE FROM record WHERE offset BETWEEN ? AND ? AND arrival_id = ? RETURNING seq',
      )
      .pluck();
  }

  /** Runs inside a transaction. */
  step(rules: RetentionRules, nowWallMs: number): Retained {
    if (rules.length === 0) return { records: 0, more: false };
    const [oldest, ...others] = expired(rules, this.#volumes.all(), nowWallMs);
    if (!oldest) return { records: 0, more: false };
    const { stream, hour } = oldest;
    const left = new Map<number, IntervalSet>();
    let records = 0;
    let isWhole = true;
    const arrivals = this.#arrivals.all(stream, hour);
    for (const { id, streamId, firstOffset, lastOffset } of arrivals) {
      if (records >= RECORDS_PER_STEP) {
        isWhole = false;
        break;
      }
      const seqs = left.get(streamId) ?? IntervalSet.empty();
      for (const seq of this.#removeRecords.all(firstOffset, lastOffset, id)) {
        seqs.add(seq);
        records += 1;
      }
      left.set(streamId, seqs);
      this.#removeArrival.run(id);
    }
    this.#remember(left);
    const isEmpty = isWhole && arrivals.length < ARRIVALS_PER_STEP;
    if (isEmpty) this.#removeVolume.run(stream, hour);
    return { records, more: !isEmpty || others.length > 0 };
  }

  #remember(left: ReadonlyMap<number, IntervalSet>): void {
    for (const [streamId, seqs] of left) {
      const { key, id, state } = this.#streams.loadId(streamId);
      for (const range of seqs.ranges()) this.#conflicts.remove(streamId, range);
      this.#streams.change(key, { id, state: withdraw(state, seqs.ranges(), 'retention') });
    }
  }
}
