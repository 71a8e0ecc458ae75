/**
 * The outcome of one publish to AWS IoT: by the HTTP status first, then by the socket's error code. The SDK's
 * error names alone are misleading.
 */
import { isThrottled, type SdkFailure, sdkFailure } from '../../../shared/aws.ts';
import { connectCause } from '../connect-cause.ts';
import type { Outcome } from '../publisher.ts';
import { RequestFailed } from './request-handler.ts';

/**
 * AWS accepts signatures within five minutes of its clock; the SDK reports a skew from four minutes on. IoT
 * answers a skewed request with a plain ForbiddenException (seen in aws-iot-device-sdk-cpp-v2#221). So the
 * test is the correction by the answer's `Date`, not the name of the error.
 */
const SKEW_MS = 240_000;

/** Limits of the account ("AWS IoT Core endpoints and quotas"), whatever status they come with. */
const QUOTA = /^(LimitExceeded|ServiceQuotaExceeded)Exception$/;

/** "Common errors": these refuse the credentials, or the time of the signature, with 400 as well as 403. */
const REFUSED_LOGIN =
  /^(AccessDenied|NotAuthorized|Unauthorized|IncompleteSignature|InvalidSignature|InvalidClientTokenId|UnrecognizedClient|MissingAuthenticationToken|OptInRequired|ExpiredToken|RequestExpired)/;

/**
 * Never `accepted`, because there was an error. `clockMovedMs`: the SDK's clock correction from this answer.
 */
export function outcomeOf(error: unknown, clockMovedMs: number): Outcome {
  const failure = sdkFailure(error);
  if (failure.status !== null) return byStatus(failure.status, failure, clockMovedMs);
  if (error instanceof RequestFailed && !error.sent) {
    // Failures that are not of the network are of the TLS handshake: certificates, protocol versions.
    // Which connection failed is in the text alone.
    const detail = error.message.startsWith('proxy ') ? error.message : failure.text;
    return { kind: 'retryable', cause: connectCause(failure.code), detail };
  }
  if (failure.name === 'CredentialsProviderError') {
    return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail: 'no credentials found' };
  }
  return { kind: 'unknown', cause: 'connection-lost', detail: failure.text };
}

function byStatus(status: number, failure: SdkFailure, clockMovedMs: number): Outcome {
  const detail = failure.text;
  if (QUOTA.test(failure.name)) {
    return { kind: 'throttled', cause: 'quota', retryAfterMs: failure.retryAfterMs, detail };
  }
  if (isThrottled(failure)) {
    return { kind: 'throttled', retryAfterMs: failure.retryAfterMs, detail };
  }
  switch (status === 400 && REFUSED_LOGIN.test(failure.name) ? 403 : status) {
    case 401:
    case 403:
      if (Math.abs(clockMovedMs) >= SKEW_MS) return { kind: 'retryable', cause: 'clock-skew', detail };
      return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
    case 404:
      return { kind: 'rejected', scope: 'provider', cause: 'not-found', detail };
    case 408:
      return { kind: 'retryable', cause: 'unavailable', detail };
    case 413:
      return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
  }
  if (status >= 500) return { kind: 'retryable', cause: 'server-error', detail };
  if (status >= 400) return { kind: 'rejected', scope: 'envelope', cause: 'invalid', detail };
  if (status >= 300) return { kind: 'retryable', cause: 'unavailable', detail };
  // The status was a success, and the rest of the answer is missing.
  return { kind: 'unknown', cause: 'connection-lost', detail };
}
