/**
 * Makes room inside a commit's transaction, in bounded steps: chunks of the stream that limits.ts selects
 * become gaps until the file fits its bound again (I3, I10). The log's share of the bound is reserved from
 * the start, because the length of the log is not predictable.
 */

import { limitsOf, nextVictim } from '../limits.ts';
import type { CommitResult } from '../protocol.ts';
import type { Room } from '../types.ts';
import type { ChunkHead } from './chunk.ts';
import type { Statements } from './statements.ts';
import type { Stream, Streams } from './streams.ts';

const PAGE_BYTES = 4096;
/**
 * Most chunks given up in one commit to make room (I10): more than the records of a commit, so that eviction
 * keeps up.
 */
const CHUNKS_PER_COMMIT = 4096;
/**
 * Most chunks and record bytes given up in one commit for their age (I10). Beside twice the size of the
 * commit, to keep up, they are few, because publishes wait for that commit and the evicted pages are read.
 */
const EXPIRED_CHUNKS = 64;
const EXPIRED_BYTES = 512 * 1024;
/** Room is made slightly ahead, so that not every commit evicts. */
const SLACK_PARTS = 64;
const SLACK_BYTES_MAX = 4 * 2 ** 20;
/** The log's share of the buffer's bound, and its own upper bound (I10). */
const LOG_PARTS = 4;
const LOG_BYTES_MAX = 16 * 2 ** 20;

/** The log's share of `maxBytes`. */
export function logBytes(maxBytes: number): number {
  return Math.min(LOG_BYTES_MAX, Math.floor(maxBytes / LOG_PARTS));
}

export interface EvictionParts {
  sql: Statements;
  streams: Streams;
}

export class Eviction {
  readonly #sql: Statements;
  readonly #streams: Streams;

  constructor({ sql, streams }: EvictionParts) {
    this.#sql = sql;
    this.#streams = streams;
  }

  room(): Room {
    const streamBytes: Record<string, number> = {};
    let lowestPriority: number | null = null;
    for (const { name, limits, bytes } of this.#streams.all()) {
      if (limits.maxBytes !== null) streamBytes[name] = (streamBytes[name] ?? 0) + bytes;
      if (limits.whenFull !== 'evict' || bytes === 0) continue;
      lowestPriority = Math.min(lowestPriority ?? limits.priority, limits.priority);
    }
    return { usedBytes: this.#usedBytes(), lowestPriority, streamBytes };
  }

  /** Brings the file and each stream back under their bounds, or closer to them. */
  makeRoom(result: CommitResult): void {
    let left = CHUNKS_PER_COMMIT;
    for (const { stream } of result.appended) left -= this.#fitStream(stream, left, result);
    const { maxBytes } = this.#streams.limits;
    let usedBytes = this.#usedBytes();
    if (usedBytes <= maxBytes) return;
    const slackBytes = Math.min(SLACK_BYTES_MAX, maxBytes / SLACK_PARTS);
    const incoming = Math.max(
      ...result.appended.map(({ stream }) => limitsOf(this.#streams.limits, stream).priority),
    );
    for (; left > 0; left -= 1) {
      const victim = nextVictim(this.#holdings(() => true));
      if (!victim) return;
      // The slack is never made at the cost of a higher priority.
      const target = victim.limits.priority <= incoming ? maxBytes - slackBytes : maxBytes;
      if (usedBytes <= target) return;
      this.#giveUpOldest(victim.stream, result);
      usedBytes = this.#usedBytes();
    }
  }

  /**
   * Gives up records older than their stream keeps them, in bounded number. Returns true when this call freed
   * some and the bound left others to the next commit. A record of an earlier boot is at least as old as this
   * boot (I7).
   */
  expire({ bootId, monoMs }: { bootId: string; monoMs: number }, result: CommitResult): boolean {
    const boots = new Map(this.#sql.allEpochs.all().map((epoch) => [epoch.name, epoch.boot_id]));
    const before = result.freedBytes;
    const broughtBytes = result.appended.reduce((sum, { bytes }) => sum + bytes, 0);
    const left = {
      chunks: EXPIRED_CHUNKS + 2 * result.appended.length,
      bytes: EXPIRED_BYTES + 2 * broughtBytes,
    };
    for (const stream of this.#streams.all()) {
      const { maxAgeMs } = stream.limits;
      if (maxAgeMs === null || stream.bytes === 0) continue;
      const isThisBoot = boots.get(stream.epoch) === bootId;
      const isTooOld = (head: ChunkHead): boolean => monoMs - (isThisBoot ? head.monoMs : 0) > maxAgeMs;
      if (this.#expireStream(stream, isTooOld, left, result)) return result.freedBytes > before;
    }
    return false;
  }

  /** Subtracts the given-up records from the allowance; returns whether it is used up. */
  #expireStream(
    stream: Stream,
    isTooOld: (head: ChunkHead) => boolean,
    left: { chunks: number; bytes: number },
    result: CommitResult,
  ): boolean {
    const heads = stream.chunks.oldest(left.chunks + 1);
    let last = 0;
    let isCut = false;
    for (const head of heads) {
      if (!isTooOld(head)) break;
      isCut = left.chunks <= 0 || left.bytes <= 0;
      if (isCut) break;
      last = head.last;
      left.chunks -= 1;
      left.bytes -= head.bytes;
    }
    if (last > 0) this.#streams.giveUp(stream, { first: heads[0]?.first ?? last, last }, 'age', result);
    return isCut;
  }

  /** For a stream with its own bound; returns the number of deleted chunks. */
  #fitStream(name: string, chunksMax: number, result: CommitResult): number {
    const { maxBytes, whenFull } = limitsOf(this.#streams.limits, name);
    if (maxBytes === null || whenFull === 'reject') return 0;
    const own = (stream: Stream): boolean => stream.name === name;
    const bytes = (): number =>
      [...this.#streams.all()].filter(own).reduce((sum, { bytes }) => sum + bytes, 0);
    let chunks = 0;
    while (chunks < chunksMax && bytes() > maxBytes) {
      const victim = nextVictim(this.#holdings(own));
      if (!victim) break;
      this.#giveUpOldest(victim.stream, result);
      chunks += 1;
    }
    return chunks;
  }

  *#holdings(filter: (stream: Stream) => boolean) {
    for (const stream of this.#streams.all()) {
      if (stream.bytes === 0 || !filter(stream)) continue;
      const [oldest] = stream.chunks.oldest(1);
      if (!oldest) continue;
      const epochNumber = Number.parseInt(stream.epoch, 10);
      yield { stream, limits: stream.limits, epochNumber, oldestMonoMs: oldest.monoMs };
    }
  }

  #giveUpOldest(stream: Stream, result: CommitResult): void {
    const [oldest] = stream.chunks.oldest(1);
    if (oldest) this.#streams.giveUp(stream, oldest, 'quota', result);
  }

  /** Includes the log's share, and the memory streams. */
  #usedBytes(): number {
    const pages = this.#sql.usedPages.get()?.pages ?? 0;
    let memoryBytes = 0;
    for (const { id, bytes } of this.#streams.all()) if (id === null) memoryBytes += bytes;
    return pages * PAGE_BYTES + memoryBytes + logBytes(this.#streams.limits.maxBytes);
  }
}
