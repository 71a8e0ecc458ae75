/** Removes records from the SQLite file by whole arrivals: the new records of one envelope. */
import type { Statement } from 'better-sqlite3';
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { Retained } from '../maintenance.ts';
import {
  capsOfHolders,
  dueOf,
  hourOf,
  type Leaving,
  type Overfull,
  type RetentionRules,
  sharedOf,
  type Volume,
} from '../rules/retention.ts';
import { withdraw } from '../rules/rules.ts';
import type { ConflictTable } from './conflicts.ts';
import type { Sqlite } from './schema.ts';
import type { ShareTables } from './shares.ts';
import type { StreamTable } from './streams.ts';

/** Bounds of one step, which blocks commits while it runs. */
const RECORDS_PER_STEP = 2000;
const ARRIVALS_PER_STEP = 200;

interface Arrival {
  id: number;
  streamId: number;
  stream: string;
  hour: number;
  firstOffset: number;
  lastOffset: number;
  /** 0 for an arrival that is in no share. */
  bytes: number;
}

/** The removals of one step. */
class Step {
  readonly left = new Map<number, IntervalSet>();
  arrivals = 0;
  records = 0;

  get isFull(): boolean {
    return this.arrivals >= ARRIVALS_PER_STEP || this.records >= RECORDS_PER_STEP;
  }
}

const ARRIVAL = `id, stream_id AS streamId, stream, hour, first_offset AS firstOffset, last_offset AS lastOffset,
  ifnull(bytes, 0) AS bytes`;

export class RetentionTables {
  readonly #streams: StreamTable;
  readonly #conflicts: ConflictTable;
  readonly #shares: ShareTables;
  readonly #arrivals: Statement<[string, number], Arrival>;
  readonly #unshared: Statement<[string, number], Arrival>;
  readonly #oldestOf: Statement<[string, string], { streamId: number; hour: number | null }>;
  readonly #arrivalsOf: Statement<[number, number], Arrival>;
  readonly #removeArrival: Statement<[number]>;
  readonly #removeRecords: Statement<[number, number, number], number>;

  constructor(db: Sqlite, streams: StreamTable, conflicts: ConflictTable, shares: ShareTables) {
    this.#streams = streams;
    this.#conflicts = conflicts;
    this.#shares = shares;
    this.#arrivals = db.prepare(
      `SELECT ${ARRIVAL} FROM arrival WHERE stream = ? AND hour = ? LIMIT ${ARRIVALS_PER_STEP}`,
    );
    this.#unshared = db.prepare(
      `SELECT ${ARRIVAL} FROM arrival WHERE stream = ? AND hour = ? AND bytes IS NULL LIMIT ${ARRIVALS_PER_STEP}`,
    );
    this.#oldestOf = db.prepare(
      `SELECT s.id AS streamId,
         (SELECT min(hour) FROM arrival WHERE stream_id = s.id AND bytes IS NOT NULL) AS hour
       FROM stream s WHERE s.gateway = ? AND s.stream IN (SELECT value FROM json_each(?))
       ORDER BY hour NULLS LAST, s.id LIMIT 1`,
    );
    this.#arrivalsOf = db.prepare(
      `SELECT ${ARRIVAL} FROM arrival WHERE stream_id = ? AND hour = ? AND bytes IS NOT NULL
       ORDER BY id LIMIT ${ARRIVALS_PER_STEP}`,
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
    const volumes = this.#shares.volumes();
    const { leaving, overfull } = dueOf(rules, volumes, sharedOf(volumes), nowWallMs);
    const [oldest] = leaving;
    const step = new Step();
    if (oldest) this.#leave(step, oldest);
    const more = oldest !== undefined || overfull.some((one) => this.#shrink(step, one, hourOf(nowWallMs)));
    this.#remember(step.left);
    return { records: step.records, more };
  }

  /** Removes arrivals of an hour. */
  #leave(step: Step, { volume: { stream, hour }, isWhole }: Leaving<Volume>): void {
    const arrivals = (isWhole ? this.#arrivals : this.#unshared).all(stream, hour);
    for (const arrival of arrivals) {
      if (step.isFull) return;
      this.#remove(step, arrival);
    }
    if (arrivals.length === ARRIVALS_PER_STEP) return;
    this.#shares.dropUnshared(stream, hour);
    this.#shares.removeEmptyVolume(stream, hour);
  }

  /** The gateways that hold most give up their oldest before `hour`; returns whether any did. */
  #shrink(step: Step, overfull: Overfull, hour: number): boolean {
    const streams = JSON.stringify(overfull.streams);
    const largest = this.#shares.largest(overfull.streams);
    const held = new Map(largest.map(({ gateway, bytes }) => [gateway, bytes]));
    for (const { gateway, bytes } of capsOfHolders(largest, overfull)) {
      let surplus = (held.get(gateway) ?? 0) - bytes;
      while (surplus > 0 && !step.isFull) {
        const oldest = this.#oldestOf.get(gateway, streams);
        if (!oldest || oldest.hour === null || oldest.hour >= hour) break;
        for (const arrival of this.#arrivalsOf.all(oldest.streamId, oldest.hour)) {
          if (surplus <= 0 || step.isFull) break;
          this.#remove(step, arrival);
          this.#shares.removeEmptyVolume(arrival.stream, arrival.hour);
          surplus -= arrival.bytes;
        }
      }
    }
    return step.arrivals > 0;
  }

  #remove(step: Step, { id, streamId, firstOffset, lastOffset }: Arrival): void {
    const seqs = step.left.get(streamId) ?? IntervalSet.empty();
    for (const seq of this.#removeRecords.all(firstOffset, lastOffset, id)) {
      seqs.add(seq);
      step.records += 1;
    }
    step.left.set(streamId, seqs);
    step.arrivals += 1;
    this.#shares.arrivalLeaves(id);
    this.#removeArrival.run(id);
  }

  #remember(left: ReadonlyMap<number, IntervalSet>): void {
    for (const [streamId, seqs] of left) {
      const { key, id, state } = this.#streams.loadId(streamId);
      for (const range of seqs.ranges()) this.#conflicts.remove(streamId, range);
      this.#streams.change(key, { id, state: withdraw(state, seqs.ranges(), 'retention') });
    }
  }
}
