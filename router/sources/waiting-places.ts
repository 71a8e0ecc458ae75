/** How many messages wait at a provider until it delivers them again, by the minute of their return (I10). */
import type { Clock } from '../../shared/clock.ts';

const MINUTE_MS = 60_000;

export class WaitingPlaces {
  readonly #max: number;
  readonly #clock: Clock;
  /** The messages that come in a minute. */
  readonly #byMinute = new Map<number, number>();
  #taken = 0;

  constructor(max: number, clock: Clock) {
    this.#max = max;
    this.#clock = clock;
  }

  /** Takes a place for `forMs`, at most a minute longer, where one is free. */
  take(forMs: number): boolean {
    const nowMs = this.#clock.monoMs();
    const over = Math.floor(nowMs / MINUTE_MS);
    for (const [minute, count] of this.#byMinute) {
      if (minute >= over) continue;
      this.#byMinute.delete(minute);
      this.#taken -= count;
    }
    if (this.#taken >= this.#max) return false;
    const minute = Math.floor((nowMs + forMs) / MINUTE_MS);
    this.#byMinute.set(minute, (this.#byMinute.get(minute) ?? 0) + 1);
    this.#taken += 1;
    return true;
  }
}
