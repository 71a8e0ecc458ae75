/** A try for tests that publish by the machine's clock. */
import type { PublishAttempt } from '../agent/providers/publisher.ts';
import { systemClock } from '../shared/clock.ts';

/** Ends `limitMs` from now, or when `signal` takes it back. */
export function attempt(limitMs: number, signal = new AbortController().signal): PublishAttempt {
  return { endsAtMs: systemClock.monoMs() + limitMs, signal };
}
