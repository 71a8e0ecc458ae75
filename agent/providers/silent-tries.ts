/**
 * Detects a dead connection: a network black hole does not end it. A connection on which several tries in a
 * row ended at their deadline, without one byte from the provider, counts as dead: its owner abandons it, and
 * the next try uses a new one.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Outcome } from './publisher.ts';

export interface SilenceBounds {
  /** Number of silent tries in a row. */
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

  /** Records how a try ended, and whether a byte came in during it. True when the connection is dead. */
  isDeadAfter(outcome: Outcome, heard: boolean): boolean {
    if (saysNothing(outcome)) return false;
    const isLate = 'cause' in outcome && (outcome.cause === 'deadline' || outcome.cause === 'timeout');
    this.#inARow = isLate && !heard ? this.#inARow + 1 : 0;
    if (this.#inARow < this.#bounds.tries) return false;
    return this.#clock.monoMs() - this.#openedAtMs >= this.#bounds.minAgeMs;
  }
}

/** A try that was taken back, or got no place in time, says nothing about the connection. */
function saysNothing(outcome: Outcome): boolean {
  return outcome.kind === 'cancelled' || (outcome.kind === 'retryable' && outcome.cause === 'unavailable');
}

/** More bytes than this may still be in the buffers of a thin uplink's socket when the deadline passes. */
const CLOGGING_BYTES = 32 * 1024;

/**
 * Whether the rest of an envelope may occupy its connection after its deadline. Everything else would wait
 * behind it there, so the owner uses a new connection from then on.
 */
export function isClogging(outcome: Outcome, bytes: number): boolean {
  return outcome.kind === 'unknown' && outcome.cause === 'deadline' && bytes > CLOGGING_BYTES;
}
