/** Lets many through at a time, or one alone. Nobody waits longer than he said. */
import type { Clock } from '../../../shared/clock.ts';

export class Traffic {
  readonly #clock: Clock;
  #inside = 0;
  /** Resolves when the one alone is through; null while there is none. */
  #alone: Promise<void> | null = null;
  #onEmpty: (() => void) | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True once inside, to be left with {@link leave}; false when that did not happen within `waitMs`. */
  async enter(waitMs: number): Promise<boolean> {
    const endsAtMs = this.#clock.monoMs() + waitMs;
    while (this.#alone !== null) if (!(await this.#within(this.#alone, endsAtMs))) return false;
    this.#inside += 1;
    return true;
  }

  leave(): void {
    this.#inside -= 1;
    if (this.#inside === 0) this.#onEmpty?.();
  }

  /**
   * Lets nobody else in, waits until all are out, and runs `run`. Null when there is no getting in within
   * `waitMs`; `run` has no bound but its own.
   */
  async alone<Result>(waitMs: number, run: () => Promise<Result | null>): Promise<Result | null> {
    const endsAtMs = this.#clock.monoMs() + waitMs;
    while (this.#alone !== null) if (!(await this.#within(this.#alone, endsAtMs))) return null;
    const through = Promise.withResolvers<void>();
    this.#alone = through.promise;
    try {
      if (this.#inside > 0) {
        const empty = new Promise<void>((resolve) => {
          this.#onEmpty = resolve;
        });
        if (!(await this.#within(empty, endsAtMs))) return null;
      }
      return await run();
    } finally {
      this.#onEmpty = null;
      this.#alone = null;
      through.resolve();
    }
  }

  /** Whether `event` came in time. */
  async #within(event: Promise<void>, endsAtMs: number): Promise<boolean> {
    const leftMs = endsAtMs - this.#clock.monoMs();
    if (leftMs <= 0) return false;
    const done = new AbortController();
    const inTime = await Promise.race([
      event.then(() => true),
      this.#clock.sleep(leftMs, done.signal).then(() => false),
    ]);
    done.abort();
    return inTime;
  }
}
