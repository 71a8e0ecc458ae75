/**
 * Periodic work that is not urgent: expired records, exceeded bounds, unused pages. It cannot wait for a
 * pause, because a steady load has none. So it travels with ordinary commits, a small part with each, so that
 * no publish waits long for it (I9, I10).
 */
import type { Clock } from '../../shared/clock.ts';
import type { StoreLimits } from './limits.ts';
import type { Operation } from './protocol.ts';
import type { Room } from './types.ts';

export interface HousekeepingParts {
  bootId: string;
  clock: Clock;
  limits(): StoreLimits;
  /** Resolves when the operation is durable; rejects when the store stops. */
  operate(operation: Operation): Promise<void>;
}

export class Housekeeping {
  readonly #parts: HousekeepingParts;
  #isUnderWay: boolean = false;
  #hasTooOld: boolean = false;

  constructor(parts: HousekeepingParts) {
    this.#parts = parts;
  }

  /** Called periodically. While nothing is committed, the thread returns unused pages by itself. */
  tick(isIdle: boolean, { usedBytes }: Room): void {
    if (this.#isUnderWay) return;
    const due: Operation[] = isIdle ? [] : [{ kind: 'vacuum' }];
    const { streams, maxBytes } = this.#parts.limits();
    const hasAges = Object.values(streams).some(({ maxAgeMs }) => maxAgeMs !== null);
    if (hasAges || usedBytes > maxBytes) due.push(this.#expiry());
    if (due.length > 0) void this.#run(due);
  }

  /** Called after each commit. `hasTooOld`: the commit expired records and left some to the next one. */
  committed(hasTooOld: boolean): void {
    this.#hasTooOld = hasTooOld;
  }

  async #run(due: Operation[]): Promise<void> {
    const { operate } = this.#parts;
    this.#isUnderWay = true;
    try {
      await Promise.all(due.map(operate));
      while (this.#hasTooOld) await operate(this.#expiry());
    } catch {
      // The store is stopping, and the next start checks again.
    } finally {
      this.#isUnderWay = false;
    }
  }

  #expiry(): Operation {
    const { bootId, clock } = this.#parts;
    return { kind: 'expire', bootId, monoMs: clock.monoMs() };
  }
}
