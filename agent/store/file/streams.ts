/**
 * The buffer's state of each (epoch, stream), in memory and in its rows. Memory runs ahead of the rows within
 * one transaction; {@link Streams.writeChanged} writes the rows before the commit.
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { Gap, GapReason, SeqRange } from '../../../shared/record.ts';
import { limitsOf, type StoreLimits, type StreamLimits } from '../limits.ts';
import type { CommitResult, EncodedStreamState } from '../protocol.ts';
import { type Chunks, FileChunks, MemoryChunks } from './chunks.ts';
import { withGap, withoutRange } from './gaps.ts';
import type { Progress } from './progress.ts';
import type { Statements } from './statements.ts';

export interface Stream {
  /** Id of its row; null for a memory stream, which has no row. */
  id: number | null;
  epoch: string;
  name: string;
  limits: StreamLimits;
  lastSeq: number;
  /** Bytes of its chunks. */
  bytes: number;
  endAnnounced: boolean;
  progress: Progress;
  gaps: Gap[];
  chunks: Chunks;
  /** Whether the pending or accepted sets are ahead of the row. */
  changed: boolean;
}

export class Streams {
  readonly #sql: Statements;
  readonly #epoch: string;
  #limits: StoreLimits;
  readonly #streams = new Map<string, Stream>();

  /** Loads the file's streams. `epoch`: the epoch of new records. */
  constructor(sql: Statements, epoch: string, limits: StoreLimits) {
    this.#sql = sql;
    this.#epoch = epoch;
    this.#limits = limits;
    for (const row of sql.allStreams.all()) {
      const all = IntervalSet.of(row.last_seq > 0 ? [{ first: 1, last: row.last_seq }] : []);
      const accepted = sql.acceptedOf.all(row.id);
      this.#streams.set(keyOf(row.epoch, row.name), {
        id: row.id,
        epoch: row.epoch,
        name: row.name,
        limits: limitsOf(limits, row.name),
        lastSeq: row.last_seq,
        bytes: row.bytes,
        endAnnounced: row.end_announced === 1,
        progress: {
          pending: all.difference(IntervalSet.decode(row.freed)),
          accepted: new Map(accepted.map(({ provider, ranges }) => [provider, IntervalSet.decode(ranges)])),
        },
        gaps: sql.gapsOf.all(row.id),
        chunks: new FileChunks(sql, row.id),
        changed: false,
      });
    }
  }

  get limits(): StoreLimits {
    return this.#limits;
  }

  /**
   * Other limits hold from here on. A stream that was in memory alone and is not any more is written, with
   * all its records (I1); one that is in the file already stays there until the next epoch.
   */
  setLimits(limits: StoreLimits): void {
    this.#limits = limits;
    for (const stream of this.#streams.values()) {
      stream.limits = limitsOf(limits, stream.name);
      if (stream.id === null && stream.limits.durability.kind !== 'memory') this.#write(stream);
    }
  }

  all(): Iterable<Stream> {
    return this.#streams.values();
  }

  get(epoch: string, name: string): Stream | undefined {
    return this.#streams.get(keyOf(epoch, name));
  }

  /** Creates a stream in the present epoch. */
  create(name: string): Stream {
    const limits = limitsOf(this.#limits, name);
    const isWritten = limits.durability.kind !== 'memory';
    const id = isWritten ? Number(this.#sql.insertStream.run(this.#epoch, name).lastInsertRowid) : null;
    const stream: Stream = {
      id,
      epoch: this.#epoch,
      name,
      limits,
      lastSeq: 0,
      bytes: 0,
      endAnnounced: false,
      progress: { pending: IntervalSet.empty(), accepted: new Map() },
      gaps: [],
      chunks: id === null ? new MemoryChunks() : new FileChunks(this.#sql, id),
      changed: false,
    };
    this.#streams.set(keyOf(this.#epoch, name), stream);
    return stream;
  }

  #write(stream: Stream): void {
    const { epoch, name, lastSeq, bytes } = stream;
    const id = Number(this.#sql.insertStream.run(epoch, name).lastInsertRowid);
    const chunks = new FileChunks(this.#sql, id);
    for (const chunk of stream.chunks.overlapping(1, lastSeq)) chunks.insert(chunk);
    Object.assign(stream, { id, chunks, changed: true });
    this.#sql.advanceStream.run(lastSeq, bytes, id);
    this.#writeGaps(stream);
  }

  /** Records of the range were added to its chunks. */
  advance(stream: Stream, { first, last, bytes }: SeqRange & { bytes: number }): void {
    stream.progress.pending.add(first, last);
    stream.lastSeq = last;
    stream.bytes += bytes;
    if (stream.id !== null) this.#sql.advanceStream.run(last, stream.bytes, stream.id);
  }

  /** The records of the range are no longer pending: chunks without pending records are deleted. */
  freed(stream: Stream, { first, last }: SeqRange, result: CommitResult): void {
    const { pending } = stream.progress;
    result.freedRows += last - first + 1;
    let bytes = stream.chunks.removeWithin(first, last);
    for (const head of stream.chunks.heads(first, last)) {
      if (pending.within(head.first, head.last).length === 0)
        bytes += stream.chunks.removeWithin(head.first, head.last);
    }
    result.freedBytes += bytes;
    stream.bytes -= bytes;
    stream.changed = true;
  }

  /** The pending records of the range become a gap, which is delivered in their place (I3). */
  giveUp(stream: Stream, { first, last }: SeqRange, reason: GapReason, result: CommitResult): void {
    const { pending, accepted } = stream.progress;
    for (const part of pending.within(first, last)) {
      pending.remove(part.first, part.last);
      for (const set of accepted.values()) set.remove(part.first, part.last);
      stream.gaps = withGap(stream.gaps, { ...part, reason });
      result.gaps.push({ epoch: stream.epoch, stream: stream.name, ...part, reason });
      this.freed(stream, part, result);
    }
    for (const [provider, set] of accepted) if (set.size === 0) accepted.delete(provider);
    this.#writeGaps(stream);
  }

  /** The gap was delivered. */
  forgetGap(stream: Stream, range: SeqRange): void {
    stream.gaps = withoutRange(stream.gaps, range);
    this.#writeGaps(stream);
  }

  announceEnd(stream: Stream): void {
    stream.endAnnounced = true;
    if (stream.id !== null) this.#sql.announceEnd.run(stream.id);
  }

  /** Deletes a stream of an older epoch when all of it is delivered and its end is announced. */
  forgetWhenOver(stream: Stream): boolean {
    const { epoch, progress, gaps, endAnnounced, id, name } = stream;
    if (epoch === this.#epoch || !endAnnounced || progress.pending.size > 0 || gaps.length > 0) return false;
    if (id !== null) {
      this.#sql.deleteStream.run(id);
      this.#sql.deleteAccepted.run(id);
    }
    this.#streams.delete(keyOf(epoch, name));
    return true;
  }

  /** Call once per transaction: writes the changed pending and accepted sets. */
  writeChanged(): void {
    for (const stream of this.#streams.values()) {
      if (!stream.changed) continue;
      stream.changed = false;
      if (stream.id !== null) this.#writeProgress(stream, stream.id);
    }
  }

  encoded({ epoch, name, progress, gaps, endAnnounced, lastSeq, bytes }: Stream): EncodedStreamState {
    return {
      epoch,
      stream: name,
      pending: progress.pending.encode(),
      accepted: [...progress.accepted].map(([provider, set]) => ({ provider, ranges: set.encode() })),
      gaps,
      sealedAt: epoch === this.#epoch || endAnnounced ? null : lastSeq,
      bytes,
    };
  }

  #writeProgress({ lastSeq, bytes, progress }: Stream, id: number): void {
    const all = IntervalSet.of(lastSeq > 0 ? [{ first: 1, last: lastSeq }] : []);
    this.#sql.writeFreed.run(bytes, all.difference(progress.pending).encode(), id);
    this.#sql.deleteAccepted.run(id);
    for (const [provider, set] of progress.accepted) this.#sql.insertAccepted.run(id, provider, set.encode());
  }

  #writeGaps({ id, gaps }: Stream): void {
    if (id === null) return;
    this.#sql.deleteGaps.run(id);
    for (const gap of gaps) this.#sql.insertGap.run(id, gap.first, gap.last, gap.reason);
  }
}

function keyOf(epoch: string, stream: string): string {
  return `${epoch}/${stream}`;
}
