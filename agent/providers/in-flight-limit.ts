/** Bounds the number of tries in flight (I10). Waiting tries are served in the order of their calls. */

export class InFlightLimit {
  readonly max: number;
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(max: number) {
    this.max = max;
    this.#free = max;
  }

  /** True once a place is taken, until {@link leave}; false when `signal` aborted first. */
  enter(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const take = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve(true);
      };
      const giveUp = (): void => {
        this.#waiting.delete(take);
        resolve(false);
      };
      this.#waiting.add(take);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  leave(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
