/** Tries again and again, ever more slowly: a disk comes back when it does. */
import type { Clock } from '../../shared/clock.ts';

const PAUSE_MIN_MS = 500;
const PAUSE_MAX_MS = 30_000;

export interface RetryOptions {
  clock: Clock;
  /** Ends it. */
  signal: AbortSignal;
  onError: (error: unknown, pauseMs: number) => void;
}

/** Resolves with true when `run` resolved, after a first pause, or with false when it was ended. */
export async function retried(
  run: () => Promise<void>,
  { clock, signal, onError }: RetryOptions,
): Promise<boolean> {
  for (let pauseMs = PAUSE_MIN_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
    await clock.sleep(pauseMs, signal);
    if (signal.aborted) return false;
    try {
      await run();
      return true;
    } catch (error) {
      onError(error, pauseMs);
    }
  }
}
