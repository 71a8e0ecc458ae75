/** Counts the records that the buffer gave up, and logs them at a bounded rate (I3, I10). */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { GapReason } from '../../shared/record.ts';
import type { StreamGap } from './types.ts';

const LOG_EVERY_MS = 10_000;

interface Count {
  stream: string;
  reason: GapReason;
  records: number;
  unlogged: number;
  loggedMs: number;
}

export class Evicted {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #counts = new Map<string, Count>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  add(gaps: readonly StreamGap[]): void {
    const nowMs = this.#clock.monoMs();
    for (const { stream, reason, first, last } of gaps) {
      const key = `${stream} ${reason}`;
      const count = this.#counts.get(key) ?? {
        stream,
        reason,
        records: 0,
        unlogged: 0,
        loggedMs: Number.NEGATIVE_INFINITY,
      };
      this.#counts.set(key, count);
      count.records += last - first + 1;
      count.unlogged += last - first + 1;
    }
    for (const count of this.#counts.values()) {
      if (count.unlogged === 0 || nowMs - count.loggedMs < LOG_EVERY_MS) continue;
      this.#log.warn({
        event: 'store.given_up',
        stream: count.stream,
        reason: count.reason,
        records: count.unlogged,
      });
      count.unlogged = 0;
      count.loggedMs = nowMs;
    }
  }

  totals(): ReadonlyArray<{ stream: string; reason: GapReason; records: number }> {
    return [...this.#counts.values()].map(({ stream, reason, records }) => ({ stream, reason, records }));
  }
}
