/**
 * What needs no hurry and must not wait for a pause either, because under a steady load there is none:
 * records too old, a bound that is passed, space given back. It rides with commits that are made anyway, a
 * small part with each, so that no publish waits long for it (I9, I10).
 */
import type { Clock } from '../../shared/clock.ts';
import type { StoreLimits } from './limits.ts';
import type { Operation } from './protocol.ts';
import type { Room } from './types.ts';

export interface HousekeepingParts {
  bootId: string;
  clock: Clock;
  limits: StoreLimits;
  /** Resolves when it is durable; rejects when the store stops. */
  operate(operation: Operation): Promise<void>;
}

export class Housekeeping {
  readonly #parts: HousekeepingParts;
  readonly #hasAges: boolean;
  #isUnderWay: boolean = false;
  #hasTooOld: boolean = false;

  constructor(parts: HousekeepingParts) {
    this.#parts = parts;
    this.#hasAges = Object.values(parts.limits.streams).some(({ maxAgeMs }) => maxAgeMs !== null);
  }

  /** Every now and then. While nothing is committed, the thread gives space back by itself. */
  tick(isIdle: boolean, { usedBytes }: Room): void {
    if (this.#isUnderWay) return;
    const due: Operation[] = isIdle ? [] : [{ kind: 'vacuum' }];
    if (this.#hasAges || usedBytes > this.#parts.limits.maxBytes) due.push(this.#expiry());
    if (due.length > 0) void this.#run(due);
  }

  /** Of each commit: whether it looked for records too old and left some of them to the next. */
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
      // The store stops, and the next start looks again.
    } finally {
      this.#isUnderWay = false;
    }
  }

  #expiry(): Operation {
    const { bootId, clock } = this.#parts;
    return { kind: 'expire', bootId, monoMs: clock.monoMs() };
  }
}
