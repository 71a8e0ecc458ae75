/**
 * How many look-ups are under way at once, so that names without an answer never hold every thread: a name
 * whose last look-up was slow gets a place only while some are left for the others.
 */

/** Longer than any resolver needs that has the answer at hand, or a server that has. */
const SLOW_MS = 4000;
/** The share of the places that slow names may hold. */
const SLOW_SHARE = 2 / 3;
/** Slow names that are remembered (I10). */
const SLOW_MAX = 256;

interface Waiting {
  key: string;
  begin: (isSlow: boolean) => void;
}

export class Places {
  readonly #max: number;
  readonly #slowMax: number;
  readonly #slow = new Set<string>();
  readonly #waiting: Waiting[] = [];
  #taken = 0;
  #takenBySlow = 0;

  /** At least one for slow names and one for the others. */
  constructor(max: number) {
    this.#max = Math.max(2, max);
    this.#slowMax = Math.min(this.#max - 1, Math.max(1, Math.floor(this.#max * SLOW_SHARE)));
  }

  /** Runs `work`, which never rejects, once there is a place for `key`. */
  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const begun = Promise.withResolvers<boolean>();
    this.#waiting.push({ key, begin: begun.resolve });
    this.#next();
    const isSlow = await begun.promise;
    try {
      return await work();
    } finally {
      this.#taken -= 1;
      if (isSlow) this.#takenBySlow -= 1;
      this.#next();
    }
  }

  /** How long the look-up of `key` took. */
  proved(key: string, tookMs: number): void {
    this.#slow.delete(key);
    if (tookMs >= SLOW_MS && this.#slow.size < SLOW_MAX) this.#slow.add(key);
  }

  #next(): void {
    for (;;) {
      const index = this.#waiting.findIndex(({ key }) => this.#mayBegin(key));
      const [next] = index < 0 ? [] : this.#waiting.splice(index, 1);
      if (next === undefined) return;
      const isSlow = this.#slow.has(next.key);
      this.#taken += 1;
      if (isSlow) this.#takenBySlow += 1;
      next.begin(isSlow);
    }
  }

  #mayBegin(key: string): boolean {
    return this.#taken < this.#max && (!this.#slow.has(key) || this.#takenBySlow < this.#slowMax);
  }
}
