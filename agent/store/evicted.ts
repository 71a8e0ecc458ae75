/** Counts the records that the buffer gave up, and logs them at a bounded rate (I3, I10). */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { GapReason } from '../../shared/record.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import type { EncodedStreamState } from './protocol.ts';
import type { GivenUp, StreamGap } from './types.ts';

const LOG_EVERY_MS = 10_000;

interface Count extends GivenUp {
  unlogged: number;
}

export class Evicted {
  readonly #clock: Clock;
  readonly #sparse: SparseLog;
  readonly #counts = new Map<string, Count>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#sparse = new SparseLog({ log, clock, periodMs: LOG_EVERY_MS });
  }

  /** The gaps of the file at its first opening: given up before, and not delivered yet. */
  found(streams: ReadonlyArray<Pick<EncodedStreamState, 'stream' | 'gaps'>>): void {
    for (const { stream, gaps } of streams)
      for (const { reason, first, last } of gaps) this.#countOf(stream, reason).before += last - first + 1;
  }

  add(gaps: readonly StreamGap[]): void {
    for (const { stream, reason, first, last } of gaps) {
      const count = this.#countOf(stream, reason);
      count.records += last - first + 1;
      count.unlogged += last - first + 1;
      count.lastMs = this.#clock.monoMs();
    }
    this.tell();
  }

  /**
   * Logs what has not been, where it is time; call it now and then, so that the last of a burst is told too.
   */
  tell(): void {
    for (const count of this.#counts.values()) {
      if (count.unlogged === 0) continue;
      const { stream, reason, records: total } = count;
      const line = (): Record<string, unknown> => {
        const records = count.unlogged;
        count.unlogged = 0;
        return { stream, reason, records, total, totalOfAll: this.#total() };
      };
      this.#sparse.warn('store.given_up', line, `${stream} ${reason}`);
    }
  }

  totals(): readonly GivenUp[] {
    return [...this.#counts.values()].map(({ unlogged: _, ...count }) => count);
  }

  #total(): number {
    return [...this.#counts.values()].reduce((sum, { records }) => sum + records, 0);
  }

  #countOf(stream: string, reason: GapReason): Count {
    const key = `${stream} ${reason}`;
    const count = this.#counts.get(key) ?? {
      stream,
      reason,
      records: 0,
      before: 0,
      lastMs: null,
      unlogged: 0,
    };
    this.#counts.set(key, count);
    return count;
  }
}
