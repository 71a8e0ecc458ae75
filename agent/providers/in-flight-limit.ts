/** A bounded number of places in flight (I10), given in the order they were asked for. */
import type { Clock } from '../../shared/clock.ts';

export class Slots {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(count: number, clock: Clock) {
    this.#free = count;
    this.#clock = clock;
  }

  /**
   * True once a place is taken, to be given back with {@link leave}; false when none came free within
   * `waitMs`.
   */
  enter(waitMs: number): Promise<boolean> {
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const take = (): void => {
        timer.cancel();
        resolve(true);
      };
      const timer = this.#clock.setTimer(waitMs, () => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1);
        resolve(false);
      });
      this.#waiting.push(take);
    });
  }

  leave(): void {
    const take = this.#waiting.shift();
    if (take) take();
    else this.#free += 1;
  }
}
