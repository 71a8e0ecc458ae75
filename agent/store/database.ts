/**
 * The buffer's tables and every statement on them; knows nothing of threads. One object is one epoch: opening begins it.
 *
 * What is pending of a stream is not searched for in the rows but kept: everything from 1 to `last_seq` except `freed`,
 * written in the same transaction as the rows themselves. Starting costs O(holes), not O(rows).
 *
 * After any throw the object may be ahead of the file: close it and open a new one.
 */
import type Database from 'better-sqlite3';
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import { IntervalSet } from '../../shared/interval-set.ts';
import type { Gap, SeqRange } from '../../shared/record.ts';
import { type Damage, openFile, pragmaNumber } from './open-file.ts';
import { accept, type Progress } from './progress.ts';
import type {
  CommitResult,
  EncodedStreamState,
  Opened,
  Operation,
  ReadRange,
  ReadResult,
  RecordColumns,
} from './protocol.ts';
import { prepareStatements, type Statements } from './statements.ts';
import type { Acceptance, CommittedRange } from './types.ts';

/** Unused pages kept for new rows, and how many are given back in one slice (pages of 4 KiB). */
const SPARE_PAGES = 1024;
const VACUUM_PAGES = 256;

interface Stream {
  id: number;
  epoch: string;
  name: string;
  lastSeq: number;
  bytes: number;
  endAnnounced: boolean;
  progress: Progress;
  gaps: Gap[];
}

export class BufferDatabase {
  readonly epoch: string;
  readonly #db: Database.Database;
  readonly #damage: Damage | null;
  readonly #sql: Statements;
  readonly #streams = new Map<string, Stream>();
  readonly #commit: Database.Transaction<
    (records: RecordColumns, operations: readonly Operation[]) => CommitResult
  >;

  /**
   * Opens `file` and begins the epoch `<start counter>-<suffix>`, durably. `suffix` must be fresh randomness: it is what
   * keeps epochs apart when an old copy of the file is put back (I2).
   */
  constructor(file: string, suffix: string, clock: EnvelopeClock) {
    const { db, damage } = openFile(file, `1-${suffix}`);
    this.#db = db;
    this.#damage = damage;
    this.#sql = prepareStatements(db);
    this.#commit = db.transaction((records, operations) => this.#apply(records, operations));
    try {
      this.epoch = db.transaction(() => this.#beginEpoch(suffix, clock)).immediate();
      this.#load();
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** What is in the file from earlier epochs. */
  opened(): Opened {
    const streams = [...this.#streams.values()];
    return {
      epoch: this.epoch,
      olderEpochs: this.#sql.allEpochs
        .all()
        .filter(({ name }) => name !== this.epoch)
        .map(({ name, boot_id: bootId, offset_ms: offsetMs, quality }) => ({
          epoch: name,
          clock: { bootId, offsetMs, quality },
        })),
      streams: streams.map((stream) => this.#encoded(stream)),
      rows: streams.reduce((sum, { progress }) => sum + progress.pending.size, 0),
      bytes: streams.reduce((sum, { bytes }) => sum + bytes, 0),
      damage: this.#damage,
    };
  }

  /** Everything in one transaction: when this returns, it is on the disk (I1). */
  commit(records: RecordColumns, operations: readonly Operation[]): CommitResult {
    return this.#commit.immediate(records, operations);
  }

  /** Rows of the range, ascending, until `maxBytes` are reached; at least one when there is any. */
  read({ epoch, stream: name, first, last, maxBytes }: ReadRange): ReadResult {
    const seqs: number[] = [];
    const columns = { devices: [] as string[], topics: [] as string[], monoMs: [] as number[] };
    const lengths: number[] = [];
    const payloads: Uint8Array[] = [];
    const stream = this.#streams.get(keyOf(epoch, name));
    let bytes = 0;
    for (const row of stream ? this.#sql.readRecords.iterate(stream.id, first, last) : []) {
      bytes += row.bytes;
      if (bytes > maxBytes && seqs.length > 0) break;
      seqs.push(row.seq);
      columns.devices.push(row.device);
      columns.topics.push(row.topic);
      columns.monoMs.push(row.mono_ms);
      lengths.push(row.payload.byteLength);
      payloads.push(row.payload);
    }
    return { seqs, columns: { ...columns, lengths, payloads: joined(payloads) } };
  }

  /** Gives some unused pages back to the file system, when there are more than new rows will soon need (I10). */
  vacuum(): void {
    if (pragmaNumber(this.#db, 'freelist_count') <= SPARE_PAGES) return;
    this.#db.pragma(`incremental_vacuum(${VACUUM_PAGES})`);
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

  #load(): void {
    for (const row of this.#sql.allStreams.all()) {
      const pending =
        row.last_seq > 0 ? IntervalSet.of([{ first: 1, last: row.last_seq }]) : IntervalSet.empty();
      this.#streams.set(keyOf(row.epoch, row.name), {
        id: row.id,
        epoch: row.epoch,
        name: row.name,
        lastSeq: row.last_seq,
        bytes: row.bytes,
        endAnnounced: row.end_announced === 1,
        progress: { pending: pending.difference(IntervalSet.decode(row.freed)), accepted: new Map() },
        gaps: this.#sql.gapsOf.all(row.id),
      });
      for (const { provider, ranges } of this.#sql.acceptedOf.all(row.id)) {
        this.#streams
          .get(keyOf(row.epoch, row.name))
          ?.progress.accepted.set(provider, IntervalSet.decode(ranges));
      }
    }
  }

  #encoded({ epoch, name, progress, gaps, endAnnounced, lastSeq, bytes }: Stream): EncodedStreamState {
    return {
      epoch,
      stream: name,
      pending: progress.pending.encode(),
      accepted: [...progress.accepted].map(([provider, set]) => ({ provider, ranges: set.encode() })),
      gaps,
      sealedAt: epoch === this.epoch || endAnnounced ? null : lastSeq,
      bytes,
    };
  }

  #apply(records: RecordColumns, operations: readonly Operation[]): CommitResult {
    const result: CommitResult = { appended: [], freedRows: 0, freedBytes: 0, endedEpochs: [] };
    result.appended = this.#append(records);
    const freedIn = new Set<Stream>();
    for (const operation of operations) {
      if (operation.kind === 'clock') {
        const { bootId, offsetMs, quality } = operation.clock;
        this.#sql.setEpochClock.run(bootId, offsetMs, quality, operation.epoch);
        continue;
      }
      const stream = this.#streams.get(keyOf(operation.epoch, operation.stream));
      if (!stream) continue; // Set aside with a damaged file, or over and forgotten.
      if (operation.kind === 'accept') {
        this.#accept(stream, operation, result);
        freedIn.add(stream);
      } else if (operation.kind === 'accept-gap') {
        this.#forgetGap(stream, operation);
      } else {
        stream.endAnnounced = true;
        this.#sql.announceEnd.run(stream.id);
      }
      if (this.#forgetWhenOver(stream)) result.endedEpochs.push(...this.#endedEpoch(stream.epoch));
    }
    for (const stream of freedIn) this.#writeProgress(stream);
    return result;
  }

  /** Inserts the records; a seq is the stream's counter, which moves in the same transaction (I2). */
  #append(records: RecordColumns): CommittedRange[] {
    const ranges = new Map<Stream, CommittedRange>();
    let offset = 0;
    for (const [i, name] of records.streams.entries()) {
      const device = records.devices[i] ?? '';
      const topic = records.topics[i] ?? '';
      const payload = records.payloads.subarray(offset, offset + (records.lengths[i] ?? 0));
      offset += payload.byteLength;
      const stream = this.#streams.get(keyOf(this.epoch, name)) ?? this.#createStream(name);
      const seq = ++stream.lastSeq;
      this.#sql.insertRecord.run(stream.id, seq, records.monoMs[i] ?? 0, device, topic, payload);
      const bytes = payload.byteLength + Buffer.byteLength(topic) + Buffer.byteLength(device);
      const range = ranges.get(stream) ?? { stream: name, first: seq, last: seq, bytes: 0 };
      range.last = seq;
      range.bytes += bytes;
      ranges.set(stream, range);
    }
    for (const [stream, { first, last, bytes }] of ranges) {
      stream.progress.pending.add(first, last);
      stream.bytes += bytes;
      this.#sql.advanceStream.run(stream.lastSeq, stream.bytes, stream.id);
    }
    return [...ranges.values()];
  }

  #createStream(name: string): Stream {
    const { lastInsertRowid } = this.#sql.insertStream.run(this.epoch, name);
    const stream: Stream = {
      id: Number(lastInsertRowid),
      epoch: this.epoch,
      name,
      lastSeq: 0,
      bytes: 0,
      endAnnounced: false,
      progress: { pending: IntervalSet.empty(), accepted: new Map() },
      gaps: [],
    };
    this.#streams.set(keyOf(this.epoch, name), stream);
    return stream;
  }

  /** Deletes the rows that the rule of progress.ts sets free, and no others (I3). */
  #accept(stream: Stream, { provider, first, last, copies }: Acceptance, result: CommitResult): void {
    for (const range of accept(stream.progress, provider, { first, last }, copies)) {
      const bytes = this.#sql.bytesOf.get(stream.id, range.first, range.last)?.bytes ?? 0;
      result.freedRows += this.#sql.deleteRecords.run(stream.id, range.first, range.last).changes;
      result.freedBytes += bytes;
      stream.bytes -= bytes;
    }
  }

  #writeProgress({ id, lastSeq, bytes, progress }: Stream): void {
    const freed = IntervalSet.of([{ first: 1, last: lastSeq }]).difference(progress.pending);
    this.#sql.writeFreed.run(bytes, freed.encode(), id);
    this.#sql.deleteAccepted.run(id);
    for (const [provider, set] of progress.accepted) this.#sql.insertAccepted.run(id, provider, set.encode());
  }

  #forgetGap(stream: Stream, { first, last }: SeqRange): void {
    const left = stream.gaps.flatMap((gap) => {
      const rest = IntervalSet.of([gap]);
      rest.remove(first, last);
      return [...rest.ranges()].map((range) => ({ ...range, reason: gap.reason }));
    });
    stream.gaps = left;
    this.#sql.deleteGaps.run(stream.id);
    for (const gap of left) this.#sql.insertGap.run(stream.id, gap.first, gap.last, gap.reason);
  }

  /** A stream of an older epoch of which all is delivered and the end is announced leaves no trace. */
  #forgetWhenOver(stream: Stream): boolean {
    const { epoch, progress, gaps, endAnnounced, id, name } = stream;
    if (epoch === this.epoch || !endAnnounced || progress.pending.size > 0 || gaps.length > 0) return false;
    this.#sql.deleteStream.run(id);
    this.#sql.deleteAccepted.run(id);
    this.#streams.delete(keyOf(epoch, name));
    return true;
  }

  #endedEpoch(epoch: string): string[] {
    return this.#sql.deleteEmptyEpoch.run(epoch, epoch).changes > 0 ? [epoch] : [];
  }
}

function keyOf(epoch: string, stream: string): string {
  return `${epoch}/${stream}`;
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}
