/**
 * Finds the record that a destination refuses: each refusal halves the next write, until the record stands
 * alone. Records before it are delivered on the way, so it ends up first. Pure (I11).
 */
export class Bisection {
  /** The refused record is among the first so many; 0 while none is suspected. */
  #suspects = 0;

  /** Most records of the next write. */
  get limit(): number {
    return this.#suspects === 0 ? Number.POSITIVE_INFINITY : Math.ceil(this.#suspects / 2);
  }

  /** The destination refused a write of the first `count` records. */
  refused(count: number): void {
    this.#suspects = count;
  }

  /** The destination has stored the first `count` records. */
  accepted(count: number): void {
    this.#suspects = Math.max(0, this.#suspects - count);
  }

  /** The next write is of other records. */
  reset(): void {
    this.#suspects = 0;
  }
}
