/**
 * The pause before the next try: it doubles with each failure up to a bound, and half of it is random ("equal
 * jitter", AWS Architecture Blog, "Exponential Backoff And Jitter", 2015), so that a fleet does not retry at
 * one moment.
 */
import type { Entropy } from './entropy.ts';

export interface BackoffBounds {
  /** The longest pause after the first failure. */
  firstMs: number;
  /** The upper bound of all pauses. */
  lastMs: number;
}

/** The longest pause after `failures` failures in a row, in milliseconds; 0 after none. */
export function pauseCeilingMs({ firstMs, lastMs }: BackoffBounds, failures: number): number {
  return failures <= 0 ? 0 : Math.min(lastMs, firstMs * 2 ** (failures - 1));
}

/** Counts failures in a row. Reset it on proven success: something was received or accepted. */
export class Backoff {
  readonly #bounds: BackoffBounds;
  readonly #entropy: Entropy;
  #failures = 0;

  constructor(bounds: BackoffBounds, entropy: Entropy) {
    this.#bounds = bounds;
    this.#entropy = entropy;
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures;
  }

  /**
   * Counts a failure; returns the pause before the next try in milliseconds, between half the ceiling and the
   * whole.
   */
  failed(): number {
    this.#failures += 1;
    return pauseCeilingMs(this.#bounds, this.#failures) * (0.5 + this.#entropy.float() / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}
