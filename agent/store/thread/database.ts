/**
 * The buffer's database, independent of threads. One object is one epoch, which begins at the opening.
 *
 * The pending records of a stream are not searched for in the chunks but tracked: all records from 1 to
 * `last_seq` except `freed`, which is written in the same transaction as the chunks. So a start costs
 * O(holes), not O(records). A chunk is deleted when none of its records is pending.
 *
 * After any throw the object may be ahead of the file: close it and open a new one.
 */
import type Database from 'better-sqlite3';
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import type { FileKey } from '../../../shared/sqlite/open.ts';
import { giveBack } from '../../../shared/zstd.ts';
import {
  CHUNK_BYTES_MAX,
  type Chunk,
  type ChunkColumns,
  ChunkDamage,
  type ChunkId,
  decodeColumns,
  encodeChunk,
} from '../file/chunk.ts';
import { ColumnReader } from '../file/column-reader.ts';
import { Eviction, logBytes } from '../file/eviction.ts';
import { own } from '../file/owner.ts';
import { packsOf } from '../file/packs.ts';
import { accept } from '../file/progress.ts';
import { SessionItems } from '../file/session-items.ts';
import { prepareStatements, type Statements } from '../file/statements.ts';
import { type Stream, Streams } from '../file/streams.ts';
import type { StoreLimits } from '../limits.ts';
import type { CommitResult, Opened, Operation, ReadRange, ReadResult, RecordColumns } from '../protocol.ts';
import type { Acceptance, CommittedRange, Damage } from '../types.ts';
import { openFile, pragmaNumber } from './open-file.ts';

/**
 * Unused pages (of 4 KiB) kept for new rows, and pages returned in one slice: while idle, and in a commit.
 */
const SPARE_PAGES = 1024;
const VACUUM_PAGES = 256;
const COMMIT_VACUUM_PAGES = 64;
/** For a full disk: the pages moved for it must fit into the log. */
const RELIEF_PAGES = 2048;
/** No bounds. */
const NO_LIMITS: StoreLimits = { maxBytes: Number.MAX_SAFE_INTEGER, streams: {} };

export class BufferDatabase {
  readonly epoch: string;
  readonly #db: Database.Database;
  readonly #damage: Damage | null;
  #formerGateway: string | null = null;
  readonly #sql: Statements;
  readonly #streams: Streams;
  readonly #eviction: Eviction;
  readonly #sessions: SessionItems;
  #unpacked: { stream: Stream; first: number; columns: ChunkColumns } | null = null;
  readonly #commit: Database.Transaction<
    (records: RecordColumns, operations: readonly Operation[]) => CommitResult
  >;

  /**
   * Opens `file` and begins the epoch `<start counter>-<suffix>`, durably. `suffix` must be fresh randomness:
   * it distinguishes the epochs when an old copy of the file is put back (I2). `gateway`: null for no check.
   */
  constructor(
    file: string,
    suffix: string,
    clock: EnvelopeClock,
    limits: StoreLimits = NO_LIMITS,
    { key = null, gateway = null }: { key?: FileKey | null; gateway?: string | null } = {},
  ) {
    const { db, damage } = openFile(file, logBytes(limits.maxBytes), key);
    this.#db = db;
    this.#damage = damage;
    this.#sql = prepareStatements(db);
    this.#sessions = new SessionItems(db);
    this.#commit = db.transaction((records, operations) => this.#apply(records, operations));
    try {
      this.epoch = db
        .transaction(() => {
          if (gateway !== null) this.#formerGateway = own(db, gateway);
          return this.#beginEpoch(suffix, clock);
        })
        .immediate();
      this.#streams = new Streams(this.#sql, this.epoch, limits);
      this.#eviction = new Eviction({ sql: this.#sql, streams: this.#streams });
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** The state of earlier epochs in the file. */
  opened(): Omit<Opened, 'device' | 'hasRoom'> {
    const streams = [...this.#streams.all()];
    return {
      epoch: this.epoch,
      olderEpochs: this.#sql.allEpochs
        .all()
        .filter(({ name }) => name !== this.epoch)
        .map(({ name, boot_id: bootId, offset_ms: offsetMs, quality }) => ({
          epoch: name,
          clock: { bootId, offsetMs, quality },
        })),
      streams: streams.map((stream) => this.#streams.encoded(stream)),
      rows: streams.reduce((sum, { progress }) => sum + progress.pending.size, 0),
      bytes: streams.reduce((sum, { bytes }) => sum + bytes, 0),
      room: this.#eviction.room(),
      sessions: this.#sessions.all(),
      damage: this.#damage,
      formerGateway: this.#formerGateway,
    };
  }

  /** Commits everything in one transaction, which is on disk when this returns (I1). */
  commit(records: RecordColumns, operations: readonly Operation[]): CommitResult {
    return this.#commit.immediate(records, operations);
  }

  /**
   * Pending records of the range, ascending, until `maxBytes` are reached; at least one when there is any.
   * Records of a damaged chunk are left out.
   */
  read({ epoch, stream: name, first, last, maxBytes }: ReadRange): ReadResult {
    const reading = new ColumnReader(maxBytes);
    const stream = this.#streams.get(epoch, name);
    for (const chunk of stream?.chunks.overlapping(first, last) ?? []) {
      const columns = stream && this.#columnsOf(stream, chunk);
      if (!columns) continue;
      const from = Math.max(first, chunk.first);
      for (const range of stream.progress.pending.within(from, Math.min(last, chunk.last))) {
        if (!reading.take(columns, chunk.first, range)) return reading.result();
      }
    }
    return reading.result();
  }

  /** Returns some unused pages to the file system when there are more than new rows will soon need (I10). */
  vacuum(pages: number = VACUUM_PAGES): void {
    if (pragmaNumber(this.#db, 'freelist_count') <= SPARE_PAGES) return;
    this.#db.pragma(`incremental_vacuum(${pages})`);
  }

  /** For a full disk without intake: returns more pages at once, and the log's space too. */
  relieve(): void {
    this.#db.pragma(`incremental_vacuum(${RELIEF_PAGES})`);
    this.#db.pragma('wal_checkpoint(TRUNCATE)');
  }

  close(): void {
    this.#db.close();
  }

  #beginEpoch(suffix: string, clock: EnvelopeClock): string {
    this.#sql.deleteEmptyEpochs.run();
    const { lastInsertRowid } = this.#sql.insertEpoch.run('', clock.bootId, clock.offsetMs, clock.quality);
    const name = `${lastInsertRowid}-${suffix}`;
    this.#sql.nameEpoch.run(name, lastInsertRowid);
    return name;
  }

  /**
   * Null when the chunk is damaged. The last chunk is cached: envelopes are smaller than chunks, and each
   * would unpack it again.
   */
  #columnsOf(stream: Stream, { first, last, body }: Chunk): ChunkColumns | null {
    const kept = this.#unpacked;
    if (kept?.stream === stream && kept.first === first) return kept.columns;
    const { epoch, name } = stream;
    const columns = undamaged(body, { epoch, stream: name, first }, last - first + 1);
    const isSmall = columns !== null && columns.payloads.length <= CHUNK_BYTES_MAX;
    this.#unpacked = isSmall ? { stream, first, columns } : null;
    return columns;
  }

  #apply(records: RecordColumns, operations: readonly Operation[]): CommitResult {
    const result: CommitResult = {
      appended: this.#append(records),
      freedRows: 0,
      freedBytes: 0,
      gaps: [],
      endedEpochs: [],
      hasTooOld: false,
      room: { usedBytes: 0, lowestPriority: null, streamBytes: {} },
    };
    for (const operation of operations) this.#operate(operation, result);
    this.#eviction.makeRoom(result);
    this.#streams.writeChanged();
    result.room = this.#eviction.room();
    return result;
  }

  #operate(operation: Operation, result: CommitResult): void {
    if (operation.kind === 'clock') {
      const { bootId, offsetMs, quality } = operation.clock;
      this.#sql.setEpochClock.run(bootId, offsetMs, quality, operation.epoch);
      return;
    }
    if (operation.kind === 'sessions') {
      this.#sessions.write(operation.items);
      return;
    }
    if (operation.kind === 'expire') {
      result.hasTooOld = this.#eviction.expire(operation, result);
      return;
    }
    if (operation.kind === 'vacuum') {
      this.vacuum(COMMIT_VACUUM_PAGES);
      return;
    }
    if (operation.kind === 'limits') {
      this.#streams.setLimits(operation.limits);
      return;
    }
    const stream = this.#streams.get(operation.epoch, operation.stream);
    if (!stream) return; // In a damaged file that was set aside, or finished and deleted.
    switch (operation.kind) {
      case 'accept':
        this.#accept(stream, operation, result);
        break;
      case 'accept-gap':
        this.#streams.forgetGap(stream, operation);
        break;
      case 'accept-seal':
        this.#streams.announceEnd(stream);
        break;
      case 'give-up':
        this.#streams.giveUp(stream, operation, operation.reason, result);
        break;
    }
    if (this.#streams.forgetWhenOver(stream)) result.endedEpochs.push(...this.#endedEpoch(stream.epoch));
  }

  /** Inserts the records. A seq comes from the stream's counter, which moves in the same transaction (I2). */
  #append(columns: RecordColumns): CommittedRange[] {
    const ranges: CommittedRange[] = [];
    for (const [name, packs] of packsOf(columns)) {
      const stream = this.#streams.get(this.epoch, name) ?? this.#streams.create(name);
      const range = { stream: name, first: stream.lastSeq + 1, last: stream.lastSeq, bytes: 0 };
      for (const { records, bytes } of packs) {
        const first = range.last + 1;
        range.last += records.length;
        range.bytes += bytes;
        const monoMs = records.at(-1)?.monoMs ?? 0;
        const body = encodeChunk(records, { epoch: stream.epoch, stream: name, first });
        stream.chunks.insert({ first, last: range.last, monoMs, bytes, body });
        giveBack(body);
      }
      this.#streams.advance(stream, range);
      ranges.push(range);
    }
    return ranges;
  }

  /** Frees the records that the rule of progress.ts frees, and no others (I3). */
  #accept(stream: Stream, acceptance: Acceptance, result: CommitResult): void {
    const { provider, copies, untilReceipt } = acceptance;
    for (const range of accept(stream.progress, provider, acceptance, copies, untilReceipt)) {
      this.#streams.freed(stream, range, result);
    }
    stream.changed = true;
  }

  #endedEpoch(epoch: string): string[] {
    return this.#sql.deleteEmptyEpoch.run(epoch, epoch).changes > 0 ? [epoch] : [];
  }
}

/**
 * Null when the chunk is damaged, or its length differs from that in its row: its records count as unreadable
 * (I9).
 */
function undamaged(body: Uint8Array, id: ChunkId, count: number): ChunkColumns | null {
  try {
    const columns = decodeColumns(body, id);
    return columns.count === count ? columns : null;
  } catch (error) {
    if (error instanceof ChunkDamage) return null;
    throw error;
  }
}
