/**
 * What became of one publish to AWS IoT: status first, then the socket's code. The SDK's error names alone
 * mislead.
 */
import { type SdkFailure, sdkFailure } from '../../../shared/aws.ts';
import type { Outcome, RetryableCause } from '../publisher.ts';
import { RequestFailed } from './request-handler.ts';

/**
 * AWS takes signatures for five minutes either way; the SDK calls a clock skewed from four on. IoT answers a
 * skewed request with a plain ForbiddenException (seen in aws-iot-device-sdk-cpp-v2#221), so how far the
 * answer's `Date` moved the clock is the test, not the name of the error.
 */
const SKEW_MS = 240_000;

const CONNECT_CAUSES: Readonly<Record<string, RetryableCause>> = {
  ECONNREFUSED: 'connection-refused',
  ECONNRESET: 'connection-reset',
  EPIPE: 'connection-reset',
  ETIMEDOUT: 'not-connected',
  EHOSTUNREACH: 'not-connected',
  ENETUNREACH: 'not-connected',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
};

/**
 * Never `accepted`: there was an error. `clockMovedMs`: how far the SDK moved its clock because of this
 * answer.
 */
export function outcomeOf(error: unknown, clockMovedMs: number): Outcome {
  const failure = sdkFailure(error);
  if (failure.status !== null) return byStatus(failure.status, failure, clockMovedMs);
  if (error instanceof RequestFailed && !error.sent) {
    // What is not the network's is the handshake's: certificates, protocol versions.
    return { kind: 'retryable', cause: CONNECT_CAUSES[failure.code ?? ''] ?? 'tls', detail: failure.text };
  }
  if (failure.name === 'CredentialsProviderError') {
    return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail: 'no credentials found' };
  }
  return { kind: 'unknown', cause: 'connection-lost', detail: failure.text };
}

function byStatus(status: number, failure: SdkFailure, clockMovedMs: number): Outcome {
  const detail = failure.text;
  switch (status) {
    case 401:
    case 403:
      if (Math.abs(clockMovedMs) >= SKEW_MS) return { kind: 'retryable', cause: 'clock-skew', detail };
      return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
    case 404:
      return { kind: 'rejected', scope: 'provider', cause: 'not-found', detail };
    case 413:
      return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
    case 429:
      return { kind: 'throttled', retryAfterMs: failure.retryAfterMs, detail };
  }
  if (status >= 500) return { kind: 'retryable', cause: 'server-error', detail };
  if (status >= 400) return { kind: 'rejected', scope: 'envelope', cause: 'invalid', detail };
  if (status >= 300) return { kind: 'retryable', cause: 'unavailable', detail };
  // It said yes, and the rest of its answer did not come.
  return { kind: 'unknown', cause: 'connection-lost', detail };
}
