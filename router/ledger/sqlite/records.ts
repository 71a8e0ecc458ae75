/**
 * The `record` and `arrival` rows: appended at dense offsets, compared when an id is repeated, read by
 * offset.
 */
import type { Statement } from 'better-sqlite3';
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import type { SendReason } from '../../../shared/envelope/send-reason.ts';
import type { SeqRange, TelemetryRecord } from '../../../shared/record.ts';
import { wallTimeOf } from '../rules/boot-clocks.ts';
import { hourOf, storedBytes } from '../rules/retention.ts';
import type { HeldVersion, LedgerEntry, LedgerRecord } from '../types.ts';
import { runsQuery } from '../verify.ts';
import type { Sqlite } from './schema.ts';
import { ROW_BYTES, type ShareTables } from './shares.ts';

/** A page of {@link RecordTable.read} ends after this many payload bytes, whatever its limit (I10). */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;

type Quality = EnvelopeClock['quality'];
type RecordRow = Omit<LedgerRecord, 'wallMs' | 'clockQuality'> & {
  clockOffsetMs: number;
  clockQuality: Quality;
  bootOffsetMs: number | null;
};
interface ArrivalRow {
  source: string;
  receivedWallMs: number;
  bootId: string;
  offsetMs: number;
  quality: Quality;
  firstOffset: number;
  lastOffset: number;
  streamId: number;
  stream: string;
  hour: number;
  sentAs: SendReason | null;
  bytes: number;
}
type VersionRow = HeldVersion & { seq: number };

export class RecordTable {
  readonly #lastOffset: Statement<[], number>;
  readonly #saveLastOffset: Statement<[number]>;
  readonly #insertArrival: Statement<[ArrivalRow]>;
  readonly #shares: ShareTables;
  readonly #arrivalOf: Statement<[number, number], { id: number; firstOffset: number; lastOffset: number }>;
  readonly #removeRecord: Statement<[number, number], number>;
  readonly #isEmpty: Statement<[{ id: number; firstOffset: number; lastOffset: number }], number>;
  readonly #removeArrival: Statement<[number]>;
  readonly #insert: Statement<[number, number, number, number | bigint, number, string, string, Uint8Array]>;
  readonly #versions: Statement<[number, number, number], VersionRow>;
  readonly #runs: Statement<[number], SeqRange>;
  readonly #page: Statement<[number, number], RecordRow>;

  constructor(db: Sqlite, shares: ShareTables) {
    this.#shares = shares;
    this.#lastOffset = db.prepare<[], number>('SELECT last_offset FROM head').pluck();
    this.#saveLastOffset = db.prepare('UPDATE head SET last_offset = ?');
    this.#insertArrival = db.prepare(
      `INSERT INTO arrival (source, received_wall_ms, boot_id, clock_offset_ms, clock_quality, first_offset, last_offset,
         stream_id, stream, hour, sent_as, bytes)
       VALUES (:source, :receivedWallMs, :bootId, :offsetMs, :quality, :firstOffset, :lastOffset, :streamId, :stream, :hour,
         :sentAs, :bytes)`,
    );
    this.#arrivalOf = db.prepare(
      `SELECT arrival.id, first_offset AS firstOffset, last_offset AS lastOffset
       FROM record JOIN arrival ON arrival.id = arrival_id WHERE record.stream_id = ? AND seq = ?`,
    );
    this.#removeRecord = db
      .prepare<[number, number], number>(
        `DELETE FROM record WHERE stream_id = ? AND seq = ? RETURNING ${ROW_BYTES}`,
      )
      .pluck();
    this.#isEmpty = db
      .prepare<[{ id: number; firstOffset: number; lastOffset: number }], number>(
        `SELECT NOT EXISTS (
           SELECT 1 FROM record WHERE offset BETWEEN :firstOffset AND :lastOffset AND arrival_id = :id)`,
      )
      .pluck();
    this.#removeArrival = db.prepare('DELETE FROM arrival WHERE id = ?');
    this.#insert = db.prepare(
      `INSERT INTO record (offset, stream_id, seq, arrival_id, mono_ms, device, topic, payload)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#versions = db.prepare(
      `SELECT seq, device, topic, payload, mono_ms AS monoMs, source, received_wall_ms AS receivedWallMs,
         sent_as AS sentAs
       FROM record JOIN arrival ON arrival.id = arrival_id WHERE record.stream_id = ? AND seq BETWEEN ? AND ?`,
    );
    this.#runs = db.prepare(runsQuery('stream_id = ?'));
    this.#page = db.prepare(
      `SELECT offset, stream.gateway, epoch, stream.stream, seq, device, topic, payload, arrival.boot_id AS bootId,
         mono_ms AS monoMs, clock_offset_ms AS clockOffsetMs, clock_quality AS clockQuality,
         boot_clock.offset_ms AS bootOffsetMs, source, received_wall_ms AS receivedWallMs
       FROM record JOIN stream ON stream.id = record.stream_id JOIN arrival ON arrival.id = arrival_id
         LEFT JOIN boot_clock ON boot_clock.gateway = stream.gateway AND boot_clock.boot_id = arrival.boot_id
       WHERE offset > ? ORDER BY offset LIMIT ?`,
    );
  }

  /**
   * The highest assigned offset, 0 before the first. Offsets are never reused, even after their record has
   * left.
   */
  lastOffset(): number {
    return this.#lastOffset.get() ?? 0;
  }

  /** Stores `records` of `entry` at the offsets after `lastOffset`; returns the new last one. */
  append(
    streamId: number,
    entry: LedgerEntry,
    records: readonly TelemetryRecord[],
    lastOffset: number,
  ): number {
    if (records.length === 0) return lastOffset;
    const { bootId, offsetMs, quality } = entry.envelope.clock;
    const { source, receivedWallMs, sentAs = null } = entry;
    const { gateway, stream } = entry.envelope;
    const hour = hourOf(receivedWallMs);
    const bytes = storedBytes(records);
    const arrival = this.#insertArrival.run({
      source,
      receivedWallMs,
      bootId,
      offsetMs,
      quality,
      firstOffset: lastOffset + 1,
      lastOffset: lastOffset + records.length,
      streamId,
      stream,
      hour,
      sentAs,
      bytes,
    }).lastInsertRowid;
    let offset = lastOffset;
    for (const { seq, monoMs, device, topic, payload } of records) {
      offset += 1;
      this.#insert.run(offset, streamId, seq, arrival, monoMs, device, topic, payload);
    }
    this.#shares.add({ gateway, stream, hour, bytes });
    return offset;
  }

  /** Called at the end of the transaction that appended. */
  saveLastOffset(offset: number): void {
    this.#saveLastOffset.run(offset);
  }

  /** Deletes one record; its offset stays empty. */
  remove(streamId: number, seq: number): void {
    const arrival = this.#arrivalOf.get(streamId, seq);
    const bytes = this.#removeRecord.get(streamId, seq) ?? 0;
    if (!arrival) return;
    this.#shares.recordsLeft(arrival.id, bytes);
    if (this.#isEmpty.get(arrival) !== 1) return;
    this.#shares.arrivalLeaves(arrival.id);
    this.#removeArrival.run(arrival.id);
  }

  /** The held versions of `records` (ascending), by seq: one query per range of consecutive ids. */
  held(streamId: number, records: readonly TelemetryRecord[]): Map<number, HeldVersion> {
    const held = new Map<number, HeldVersion>();
    let first = records[0]?.seq ?? 0;
    for (const [i, { seq }] of records.entries()) {
      const next = records[i + 1]?.seq;
      if (next === seq || next === seq + 1) continue;
      for (const version of this.#versions.iterate(streamId, first, seq)) held.set(version.seq, version);
      first = next ?? 0;
    }
    return held;
  }

  /** The ranges of consecutive ids of a stream's records. */
  runs(streamId: number): SeqRange[] {
    return this.#runs.all(streamId);
  }

  read(after: number, limit: number): LedgerRecord[] {
    const page: LedgerRecord[] = [];
    let bytes = 0;
    for (const { clockOffsetMs, bootOffsetMs, ...row } of this.#page.iterate(after, limit)) {
      page.push({ ...row, ...wallTimeOf(row.monoMs, clockOffsetMs, row.clockQuality, bootOffsetMs) });
      bytes += row.payload.byteLength;
      if (bytes >= PAGE_BYTES_MAX) break;
    }
    return page;
  }
}
