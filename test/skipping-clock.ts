/** The system's clock, with leaps of monotonic time when the test says so: timers stay real. */
import { type Clock, systemClock } from '../shared/clock.ts';

export class SkippingClock implements Clock {
  readonly wallMs = systemClock.wallMs;
  readonly setTimer = systemClock.setTimer;
  readonly every = systemClock.every;
  readonly sleep = systemClock.sleep;
  #skippedMs = 0;

  monoMs(): number {
    return systemClock.monoMs() + this.#skippedMs;
  }

  skip(ms: number): void {
    this.#skippedMs += ms;
  }
}
