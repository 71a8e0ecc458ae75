/** The system's clock for parts that work in real time, which a test can put forward and hurry. */
import { type Clock, systemClock, type Timer } from '../shared/clock.ts';

export class ForwardClock implements Clock {
  readonly #periodMsMax: number;
  readonly #heldDelayMs: number;
  #held: Array<() => void> = [];
  #aheadMs = 0;

  /**
   * No period of {@link every} is longer than `periodMsMax`. Timers of exactly `heldDelayMs` wait for
   * {@link fireHeld}.
   */
  constructor({ periodMsMax = Number.POSITIVE_INFINITY, heldDelayMs = -1 } = {}) {
    this.#periodMsMax = periodMsMax;
    this.#heldDelayMs = heldDelayMs;
  }

  /** Timers that are held. */
  get held(): number {
    return this.#held.length;
  }

  /** Runs the timers that are held. */
  fireHeld(): void {
    for (const run of this.#held.splice(0)) run();
  }

  /** Time jumps; timers that run are as they were. */
  advance(ms: number): void {
    this.#aheadMs += ms;
  }

  monoMs(): number {
    return systemClock.monoMs() + this.#aheadMs;
  }

  wallMs(): number {
    return systemClock.wallMs() + this.#aheadMs;
  }

  setTimer(delayMs: number, run: () => void, keepAlive = false): Timer {
    if (delayMs !== this.#heldDelayMs) return systemClock.setTimer(delayMs, run, keepAlive);
    this.#held.push(run);
    return {
      cancel: () => {
        this.#held = this.#held.filter((other) => other !== run);
      },
    };
  }

  every(periodMs: number, run: () => void): Timer {
    return systemClock.every(Math.min(periodMs, this.#periodMsMax), run);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(delayMs, signal);
  }
}
