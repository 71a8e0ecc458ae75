/**
 * Reads rows for envelopes. An envelope of the live lane takes a fraction of a chunk. The other rows of the
 * read are cached for the next envelope, because a wake-up of the store's thread for each would cost more
 * than the envelope. A record never changes (I2), so cached rows are valid for as long as they are owed, and
 * callers ask only for owed rows.
 */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { Logger } from '../../shared/log.ts';
import type { StoredRecord } from '../store/types.ts';
import type { Buffer } from './buffer.ts';
import { recordSize } from './packer.ts';
import type { Run, StreamQueue } from './queue/stream-queue.ts';

/** Bytes of one read, and bound of the cache of each stream: the size of a chunk (I10). */
const READ_AHEAD_BYTES = 256 * 1024;

interface Kept {
  epoch: string;
  /** Ascending. */
  rows: StoredRecord[];
}

export class RowReader {
  readonly #store: Pick<Buffer, 'read' | 'giveUp'>;
  readonly #log: Logger;
  readonly #kept = new Map<string, Kept>();

  constructor({ store, log }: { store: Pick<Buffer, 'read' | 'giveUp'>; log: Logger }) {
    this.#store = store;
    this.#log = log;
  }

  /**
   * Rows of a run, ascending: all of them, or at least `maxBytes` (of recordSize). Missing rows become a gap,
   * which is delivered too: nothing is lost silently (I3). Rejects when the store does not answer.
   */
  async read(queue: StreamQueue, run: Run, maxBytes: number): Promise<StoredRecord[]> {
    let rows = this.#take(queue, run);
    const last = rows.at(-1)?.seq ?? run.first - 1;
    if (last < run.last && !exceeds(rows, maxBytes)) {
      rows = rows.concat(
        await this.#readRange(queue, last + 1, run.last, Math.max(maxBytes, READ_AHEAD_BYTES)),
      );
    }
    if (exceeds(rows, maxBytes)) this.#kept.set(queue.stream, { epoch: queue.epoch, rows });
    return rows;
  }

  /** The cached rows of the run, from its first row on. A run with missing rows is read again. */
  #take({ stream, epoch }: StreamQueue, { first, last }: Run): StoredRecord[] {
    const kept = this.#kept.get(stream);
    this.#kept.delete(stream);
    if (kept?.epoch !== epoch) return [];
    const from = first - (kept.rows[0]?.seq ?? 0);
    const rows = from < 0 ? [] : kept.rows.slice(from, from + last - first + 1);
    return rows[0]?.seq === first && rows.at(-1)?.seq === first + rows.length - 1 ? rows : [];
  }

  async #readRange(queue: StreamQueue, first: number, to: number, maxBytes: number): Promise<StoredRecord[]> {
    const rows = await this.#store.read(queue.epoch, queue.stream, first, to, maxBytes);
    const last = rows.at(-1)?.seq ?? to;
    // Ascending, and as many rows as seqs: none is missing.
    if (rows.length === last - first + 1) return rows;
    const there = IntervalSet.of(rows.map(({ seq }) => ({ first: seq, last: seq })));
    // Rows that a receipt covered meanwhile are free, not missing.
    for (const hole of there.missing(first, last).flatMap((range) => queue.owedOf(range))) {
      this.#log.error({
        event: 'forward.rows_unreadable',
        stream: queue.stream,
        epoch: queue.epoch,
        ...hole,
      });
      // The store makes the hole a gap and reports it.
      await this.#store.giveUp(queue.epoch, queue.stream, hole.first, hole.last, 'corruption');
      // It reports nothing of rows that it does not know: they would be read for ever.
      for (const part of queue.owedOf(hole)) queue.gaveUp({ ...part, reason: 'corruption' });
    }
    return rows;
  }
}

/** Whether the rows exceed an envelope of `maxBytes`. */
function exceeds(rows: readonly StoredRecord[], maxBytes: number): boolean {
  let bytes = 0;
  for (const row of rows) {
    bytes += recordSize(row);
    if (bytes > maxBytes) return true;
  }
  return false;
}
