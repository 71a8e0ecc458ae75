import type { Clock } from './clock.ts';

/** A time limit for one piece of work that takes a signal. The caller must end it. */
export interface TimeLimit {
  /** Aborts when the time is over, or when the outer signal aborts. */
  readonly signal: AbortSignal;
  /** The time is over. */
  readonly isOver: boolean;
  /** The work is done. */
  end(): void;
}

/** Starts a limit of `limitMs`, unless `outer` aborts before. */
export function timeLimit(clock: Clock, limitMs: number, outer: AbortSignal): TimeLimit {
  const late = new AbortController();
  const timer = clock.setTimer(limitMs, () => late.abort());
  return {
    signal: AbortSignal.any([outer, late.signal]),
    get isOver() {
      return late.signal.aborted;
    },
    end: () => timer.cancel(),
  };
}
