/** What a publish outcome says of the provider's health. */
import type { Outcome, RetryableCause } from '../../providers/publisher.ts';
import type { HealthEventKind } from './health.ts';
import type { Sample } from './window.ts';

/**
 * The causes after which the next try would end the same way: no need to lose a second envelope's time on it.
 */
const REFUSING: ReadonlySet<RetryableCause> = new Set([
  'connection-refused',
  'not-connected',
  'dns',
  'timeout',
  'tls',
]);

/** What the provider brought about, or did not. A try that was taken back says nothing of it. */
type Ended = Exclude<Outcome, { kind: 'cancelled' }>;

/**
 * Null for an envelope that the provider refused for good: that is the envelope's fault. A probe that is not
 * accepted has failed, whatever the reason: it is the smallest envelope there is.
 */
export function healthEventOf(outcome: Ended, probe: boolean): HealthEventKind | null {
  switch (outcome.kind) {
    case 'accepted':
      return 'accepted';
    case 'retryable':
      return REFUSING.has(outcome.cause) ? 'refused' : 'failed';
    case 'throttled':
      return 'throttled';
    case 'rejected':
      if (outcome.scope === 'provider') return 'refused';
      return probe ? 'failed' : null;
    case 'unknown':
      return 'failed';
  }
}

/** How the try counts in the window; null when it says nothing about the provider. */
export function verdictOf(event: HealthEventKind): Sample['verdict'] | null {
  switch (event) {
    case 'accepted':
    case 'throttled':
      return event;
    case 'failed':
    case 'refused':
      return 'failed';
    default:
      return null;
  }
}
