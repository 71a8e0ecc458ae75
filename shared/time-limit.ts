import type { Clock } from './clock.ts';

/** For one piece of work that takes a signal; whoever begins it ends it. */
export interface TimeLimit {
  /** Aborts when the time is over, or whoever asked for the work aborts it. */
  readonly signal: AbortSignal;
  /** The time is over. */
  readonly isOver: boolean;
  /** The work is done. */
  end(): void;
}

/** `limitMs` from now on, unless `outer` aborts before. */
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
