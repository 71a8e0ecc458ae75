/** Translates a publish outcome into a health event. */
import type { Outcome, RetryableCause } from '../../providers/publisher.ts';
import type { HealthEventKind } from './health.ts';
import type { Sample } from './window.ts';

/**
 * Causes after which the next try would fail in the same way: they open the breaker without a second
 * envelope.
 */
const REFUSING: ReadonlySet<RetryableCause> = new Set([
  'connection-refused',
  'not-connected',
  'dns',
  'timeout',
  'tls',
]);

/** An outcome that the provider caused. A try that was taken back says nothing about it. */
type Ended = Exclude<Outcome, { kind: 'cancelled' }>;

/**
 * Null for an envelope that the provider refused permanently, which is the envelope's fault. A probe that is
 * not accepted has failed for any reason: it is the smallest envelope.
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

/** The verdict of the try in the window; null when it says nothing about the provider. */
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
