/** A clock that moves when the test says so. */
import type { Clock, Timer } from '../shared/clock.ts';

interface Pending {
  atMs: number;
  run: () => void;
}

export class ManualClock implements Clock {
  #monoMs = 0;
  #pending: Pending[] = [];
  readonly #wallOffsetMs: number;

  constructor(wallOffsetMs = 0) {
    this.#wallOffsetMs = wallOffsetMs;
  }

  monoMs(): number {
    return this.#monoMs;
  }

  wallMs(): number {
    return this.#monoMs + this.#wallOffsetMs;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const pending = { atMs: this.#monoMs + delayMs, run };
    this.#pending.push(pending);
    return {
      cancel: () => {
        this.#pending = this.#pending.filter((other) => other !== pending);
      },
    };
  }

  every(periodMs: number, run: () => void): Timer {
    let timer: Timer;
    const again = (): void => {
      timer = this.setTimer(periodMs, () => {
        again();
        run();
      });
    };
    again();
    return { cancel: () => timer.cancel() };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        timer.cancel();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.setTimer(delayMs, done);
      signal?.addEventListener('abort', done, { once: true });
    });
  }

  /**
   * Whether a timer or a sleep ends in exactly `delayMs` from now: what a test waits for before it advances.
   */
  isDueIn(delayMs: number): boolean {
    return this.#pending.some(({ atMs }) => atMs === this.#monoMs + delayMs);
  }

  /** Runs what falls due on the way, in order. */
  advance(ms: number): void {
    const endMs = this.#monoMs + ms;
    for (;;) {
      const [next] = this.#pending.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.#pending = this.#pending.filter((other) => other !== next);
      this.#monoMs = Math.max(this.#monoMs, next.atMs);
      next.run();
    }
    this.#monoMs = endMs;
  }
}
