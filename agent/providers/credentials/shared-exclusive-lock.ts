/** A shared/exclusive lock with a wait limit. */
import type { Clock } from '../../../shared/clock.ts';
import { within } from '../../../shared/within.ts';

export class SharedExclusiveLock {
  readonly #clock: Clock;
  #sharing = 0;
  /** Resolves when the exclusive holder is done; null while there is none. */
  #exclusive: Promise<void> | null = null;
  #onEmpty: (() => void) | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * True once the lock is held as shared, until {@link leave}; false when the wait took longer than `waitMs`.
   */
  async enter(waitMs: number): Promise<boolean> {
    const endsAtMs = this.#clock.monoMs() + waitMs;
    while (this.#exclusive !== null) if (!(await this.#inTime(this.#exclusive, endsAtMs))) return false;
    this.#sharing += 1;
    return true;
  }

  leave(): void {
    this.#sharing -= 1;
    if (this.#sharing === 0) this.#onEmpty?.();
  }

  /**
   * Blocks new shared holders, waits for the present ones to leave, and runs `run`. Null when the wait takes
   * longer than `waitMs`; `run` has no limit but its own.
   */
  async exclusive<Result>(waitMs: number, run: () => Promise<Result | null>): Promise<Result | null> {
    const endsAtMs = this.#clock.monoMs() + waitMs;
    while (this.#exclusive !== null) if (!(await this.#inTime(this.#exclusive, endsAtMs))) return null;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exclusive = promise;
    try {
      if (this.#sharing > 0) {
        const empty = new Promise<void>((out) => {
          this.#onEmpty = out;
        });
        if (!(await this.#inTime(empty, endsAtMs))) return null;
      }
      return await run();
    } finally {
      this.#onEmpty = null;
      this.#exclusive = null;
      resolve();
    }
  }

  /** Whether `event` resolved in time. */
  async #inTime(event: Promise<void>, endsAtMs: number): Promise<boolean> {
    const leftMs = endsAtMs - this.#clock.monoMs();
    if (leftMs <= 0) return false;
    return within(
      this.#clock,
      leftMs,
      event.then(() => true),
      () => false,
    );
  }
}
