/**
 * The bytes by stream name and hour (`volume`), and by gateway and stream name (`share`). Both change in the
 * transaction that stores or removes the records. An arrival from before shares were counted has no `bytes`
 * and is in no share.
 */
import type { Statement } from 'better-sqlite3';
import { HOLDERS_MAX, type Holder, RECORD_BYTES, type Volume } from '../rules/retention.ts';
import { sharesQuery } from '../verify.ts';
import type { Sqlite } from './schema.ts';

/** The part of `storedBytes` that one record takes. */
export const ROW_BYTES = `${RECORD_BYTES} + octet_length(device) + octet_length(topic) + length(payload)`;

interface Counted {
  gateway: string;
  stream: string;
  hour: number;
  bytes: number;
}

export class ShareTables {
  readonly #addVolume: Statement<[Counted]>;
  readonly #addShare: Statement<[Counted]>;
  readonly #leaveVolume: Statement<[Counted]>;
  readonly #leaveShare: Statement<[Counted]>;
  readonly #removeEmptyShare: Statement<[Counted]>;
  readonly #shrinkArrival: Statement<[{ id: number; bytes: number }]>;
  readonly #counted: Statement<[number], Counted>;
  readonly #volumes: Statement<[], Volume>;
  readonly #dropUnshared: Statement<[string, number]>;
  readonly #removeVolume: Statement<[{ stream: string; hour: number }]>;
  readonly #largest: Statement<[string, number], Holder>;
  readonly #largestOfAll: Statement<[number], Holder>;
  readonly #total: Statement<[], number>;
  readonly #differing: Statement<[], { gateway: string; stream: string }>;

  constructor(db: Sqlite) {
    this.#addVolume = db.prepare(
      `INSERT INTO volume (stream, hour, bytes, shared) VALUES (:stream, :hour, :bytes, :bytes)
       ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, shared = shared + excluded.shared`,
    );
    this.#addShare = db.prepare(
      `INSERT INTO share (gateway, stream, bytes) VALUES (:gateway, :stream, :bytes)
       ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes`,
    );
    this.#leaveVolume = db.prepare(
      `UPDATE volume SET bytes = max(0, bytes - :bytes), shared = max(0, shared - :bytes)
       WHERE stream = :stream AND hour = :hour`,
    );
    this.#leaveShare = db.prepare(
      'UPDATE share SET bytes = max(0, bytes - :bytes) WHERE gateway = :gateway AND stream = :stream',
    );
    this.#removeEmptyShare = db.prepare(
      'DELETE FROM share WHERE gateway = :gateway AND stream = :stream AND bytes = 0',
    );
    this.#shrinkArrival = db.prepare('UPDATE arrival SET bytes = max(0, bytes - :bytes) WHERE id = :id');
    this.#counted = db.prepare(
      `SELECT stream.gateway, arrival.stream, hour, bytes FROM arrival JOIN stream ON stream.id = stream_id
       WHERE arrival.id = ? AND bytes IS NOT NULL`,
    );
    this.#volumes = db.prepare(
      'SELECT stream, hour, bytes, max(0, bytes - shared) AS unshared FROM volume WHERE hour >= 0',
    );
    this.#dropUnshared = db.prepare('UPDATE volume SET bytes = shared WHERE stream = ? AND hour = ?');
    this.#removeVolume = db.prepare(
      `DELETE FROM volume WHERE stream = :stream AND hour = :hour
       AND NOT EXISTS (SELECT 1 FROM arrival WHERE stream = :stream AND hour = :hour)`,
    );
    this.#largest = db.prepare(
      `SELECT gateway, sum(bytes) AS bytes FROM share
       WHERE gateway <> '' AND stream IN (SELECT value FROM json_each(?))
       GROUP BY gateway ORDER BY 2 DESC, 1 LIMIT ?`,
    );
    this.#largestOfAll = db.prepare(
      `SELECT gateway, sum(bytes) AS bytes FROM share WHERE gateway <> ''
       GROUP BY gateway ORDER BY 2 DESC, 1 LIMIT ?`,
    );
    this.#total = db.prepare<[], number>('SELECT ifnull(sum(bytes), 0) FROM volume WHERE hour >= 0').pluck();
    // By arrival: SQLite sorts whatever it groups, and there are fewer arrivals than records.
    const held = `SELECT ifnull(sum(${ROW_BYTES}), 0) FROM record
      WHERE offset BETWEEN first_offset AND last_offset AND arrival_id = arrival.id`;
    const counted = `stream.gateway AS owner, arrival.stream AS name
      FROM arrival JOIN stream ON stream.id = stream_id WHERE bytes IS NOT NULL`;
    this.#differing = db.prepare(
      sharesQuery({
        arrivals: `(SELECT ${counted})`,
        records: `(SELECT (${held}) AS held, ${counted})`,
        rowBytes: 'held',
      }),
    );
  }

  add(counted: Counted): void {
    this.#addVolume.run(counted);
    this.#addShare.run(counted);
  }

  /** Records of `bytes` leave an arrival that stays. */
  recordsLeft(arrival: number, bytes: number): void {
    const counted = this.#counted.get(arrival);
    if (!counted) return;
    this.#shrinkArrival.run({ id: arrival, bytes });
    this.#leave({ ...counted, bytes: Math.min(bytes, counted.bytes) });
  }

  /** Called before the arrival is deleted. */
  arrivalLeaves(arrival: number): void {
    const counted = this.#counted.get(arrival);
    if (counted) this.#leave(counted);
  }

  volumes(): Volume[] {
    return this.#volumes.all();
  }

  /** Nothing of an hour is unshared any more. */
  dropUnshared(stream: string, hour: number): void {
    this.#dropUnshared.run(stream, hour);
  }

  /** No effect while there is an arrival of that hour. */
  removeEmptyVolume(stream: string, hour: number): void {
    this.#removeVolume.run({ stream, hour });
  }

  /** The largest holders of `streams`, the largest first. */
  largest(streams: readonly string[]): Holder[] {
    return this.#largest.all(JSON.stringify(streams), HOLDERS_MAX);
  }

  largestOfAll(limit: number): Holder[] {
    return this.#largestOfAll.all(limit);
  }

  /** The bytes of all records. */
  total(): number {
    return this.#total.get() ?? 0;
  }

  /** The shares whose bytes are not those of their records. */
  differing(): { gateway: string; stream: string }[] {
    return this.#differing.all();
  }

  #leave(left: Counted): void {
    this.#leaveVolume.run(left);
    this.#leaveShare.run(left);
    this.#removeEmptyShare.run(left);
  }
}
