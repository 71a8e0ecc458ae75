/**
 * Rows for envelopes. An envelope of the live lane takes a fraction of a chunk: what was read with its rows
 * is kept for the next one, because a wake-up of the store's thread for each would cost more than the
 * envelope. A record never changes (I2), so that what is kept is right for as long as its rows are owed, and
 * the caller asks for no others.
 */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { Logger } from '../../shared/log.ts';
import type { StoredRecord } from '../store/types.ts';
import type { Buffer } from './buffer.ts';
import { recordSize } from './packer.ts';
import type { Run, StreamQueue } from './queue/stream-queue.ts';

/** Read at once, and kept for each stream, at most: as much as a chunk has (I10). */
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
   * Rows of a run, ascending: all of them, or at least what `maxBytes` (of recordSize) take. Rows that are
   * gone become a gap that is delivered too: nothing is lost silently (I3). Rejects when the store does not
   * answer.
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

  /** What is kept of the run, from its first row on. Rows that are not all there are read again. */
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
    // Ascending, and as many as there are numbers: none is missing.
    if (rows.length === last - first + 1) return rows;
    const there = IntervalSet.of(rows.map(({ seq }) => ({ first: seq, last: seq })));
    // What a receipt covered meanwhile is free, and not missing.
    for (const hole of there.missing(first, last).flatMap((range) => queue.owedOf(range))) {
      this.#log.error({
        event: 'forward.rows_unreadable',
        stream: queue.stream,
        epoch: queue.epoch,
        ...hole,
      });
      // The store makes it a gap, and says so.
      await this.#store.giveUp(queue.epoch, queue.stream, hole.first, hole.last, 'corruption');
    }
    return rows;
  }
}

/** Whether there are more rows than an envelope of `maxBytes` takes. */
function exceeds(rows: readonly StoredRecord[], maxBytes: number): boolean {
  let bytes = 0;
  for (const row of rows) {
    bytes += recordSize(row);
    if (bytes > maxBytes) return true;
  }
  return false;
}
