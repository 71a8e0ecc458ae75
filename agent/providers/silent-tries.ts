/**
 * A black hole ends no connection. A connection over which several tries in a row ended at their deadline,
 * without one byte from the provider, is taken for dead: its owner abandons it, and the next try goes out on
 * a new one.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Outcome } from './publisher.ts';

export interface SilenceBounds {
  /** So many tries in a row. */
  tries: number;
  /** A younger connection is not judged: it may still be connecting. */
  minAgeMs: number;
}

export class SilentTries {
  readonly #bounds: SilenceBounds;
  readonly #clock: Clock;
  #inARow = 0;
  #openedAtMs: number;

  constructor(bounds: SilenceBounds, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
    this.#openedAtMs = clock.monoMs();
  }

  get inARow(): number {
    return this.#inARow;
  }

  /** A new connection was opened. */
  opened(): void {
    this.#inARow = 0;
    this.#openedAtMs = this.#clock.monoMs();
  }

  /** How a try ended, and whether anything came in during it. True when the connection is to be abandoned. */
  isDeadAfter(outcome: Outcome, heard: boolean): boolean {
    if (saysNothing(outcome)) return false;
    const isLate = 'cause' in outcome && (outcome.cause === 'deadline' || outcome.cause === 'timeout');
    this.#inARow = isLate && !heard ? this.#inARow + 1 : 0;
    if (this.#inARow < this.#bounds.tries) return false;
    return this.#clock.monoMs() - this.#openedAtMs >= this.#bounds.minAgeMs;
  }
}

/** Taken back, or without a place in time: no word about the connection. */
function saysNothing(outcome: Outcome): boolean {
  return outcome.kind === 'cancelled' || (outcome.kind === 'retryable' && outcome.cause === 'unavailable');
}
