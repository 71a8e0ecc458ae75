/** The `repetition` rows of the SQLite file, and the whereabouts of one record. */
import type { Statement } from 'better-sqlite3';
import type { SendReason } from '../../../shared/envelope/send-reason.ts';
import {
  absentState,
  type MarkedSighting,
  REPETITIONS_MAX,
  type RecordId,
  type Repetition,
  SIGHTINGS_TOLD_MAX,
  sightingOf,
  type Whereabouts,
} from '../whereabouts.ts';
import type { ConflictTable } from './conflicts.ts';
import type { Sqlite } from './schema.ts';
import type { StreamTable } from './streams.ts';

type Told = MarkedSighting & { redelivered: 0 | 1 };

export class WhereaboutsTable {
  readonly #streams: StreamTable;
  readonly #conflicts: ConflictTable;
  readonly #insert: Statement<[number, number, number, string, number, 0 | 1, SendReason | null]>;
  readonly #trim: Statement<[number]>;
  readonly #first: Statement<[number, number], MarkedSighting & { offset: number }>;
  readonly #again: Statement<[number, number, number], Told>;

  constructor(db: Sqlite, streams: StreamTable, conflicts: ConflictTable) {
    this.#streams = streams;
    this.#conflicts = conflicts;
    this.#insert = db.prepare(
      `INSERT INTO repetition (stream_id, first_seq, last_seq, source, received_wall_ms, redelivered, sent_as)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#trim = db.prepare('DELETE FROM repetition WHERE id <= ? AND id > 0');
    this.#first = db.prepare(
      `SELECT offset, source, received_wall_ms AS receivedWallMs, sent_as AS sentAs
       FROM record JOIN arrival ON arrival.id = arrival_id
       WHERE record.stream_id = ? AND seq = ?`,
    );
    this.#again = db.prepare(
      `SELECT source, received_wall_ms AS receivedWallMs, redelivered, sent_as AS sentAs FROM repetition
       WHERE stream_id = ? AND first_seq <= ? AND last_seq >= ? ORDER BY id DESC LIMIT ${SIGHTINGS_TOLD_MAX}`,
    );
  }

  /** Stores repetitions and deletes the oldest, inside a transaction. */
  add(streamId: number, repetitions: readonly Repetition[]): void {
    let newest: number | bigint = 0;
    for (const { first, last, source, receivedWallMs, redelivered, sentAs } of repetitions) {
      const flag = redelivered ? 1 : 0;
      newest = this.#insert.run(streamId, first, last, source, receivedWallMs, flag, sentAs).lastInsertRowid;
    }
    if (newest > REPETITIONS_MAX) this.#trim.run(Number(newest) - REPETITIONS_MAX);
  }

  find(id: RecordId): Whereabouts {
    const stream = this.#streams.find(id);
    if (!stream) return { ...id, state: 'never-seen', offset: null, first: null, again: [], aside: [] };
    const held = this.#first.get(stream.id, id.seq);
    const again = this.#again.all(stream.id, id.seq, id.seq);
    return {
      ...id,
      state: held ? 'held' : absentState(stream.state, id.seq),
      offset: held?.offset ?? null,
      first: held ? { source: held.source, receivedWallMs: held.receivedWallMs } : null,
      again: again.map((told) => sightingOf({ ...told, redelivered: told.redelivered === 1 }, held)),
      aside: this.#conflicts
        .versions(stream.id, id.seq)
        .map(({ source, receivedWallMs }) => ({ source, receivedWallMs })),
    };
  }
}
