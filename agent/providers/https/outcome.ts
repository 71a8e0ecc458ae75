/** The outcome of an envelope that was posted to a router. */
import { refusesCertificate } from '../certificates.ts';
import { connectCause } from '../connect-cause.ts';
import type { Outcome } from '../publisher.ts';
import { type RouterAnswer, statusText } from './router-client.ts';

export function outcomeOf(answer: RouterAnswer): Outcome {
  return answer.kind === 'answer' ? ofStatus(answer) : ofFailure(answer);
}

function ofStatus({ status, retryAfterMs, clockMoved }: Extract<RouterAnswer, { kind: 'answer' }>): Outcome {
  const detail = statusText(status);
  // Only the router's answer about its commit counts; a proxy's page with another 2xx status does not.
  if (status === 200) return { kind: 'accepted' };
  switch (status) {
    case 401:
    case 403:
      if (clockMoved) return { kind: 'retryable', cause: 'clock-skew', detail };
      return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
    case 404:
      return { kind: 'rejected', scope: 'provider', cause: 'not-found', detail };
    case 408:
      return { kind: 'retryable', cause: 'unavailable', detail };
    case 413:
      return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
    case 429:
      return { kind: 'throttled', retryAfterMs, detail };
    case 503:
      // An overloaded router sends Retry-After; a proxy's page does not.
      if (retryAfterMs !== null) return { kind: 'throttled', retryAfterMs, detail };
      return { kind: 'retryable', cause: 'unavailable', detail };
  }
  if (status >= 500) return { kind: 'retryable', cause: 'server-error', detail };
  if (status >= 400) return { kind: 'rejected', scope: 'envelope', cause: 'invalid', detail };
  return { kind: 'retryable', cause: 'unavailable', detail };
}

function ofFailure({ sent, cause, code, text }: Extract<RouterAnswer, { kind: 'failed' }>): Outcome {
  if (code !== null && refusesCertificate(code))
    return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail: code };
  if (sent) return { kind: 'unknown', cause: 'connection-lost', detail: text };
  if (cause === 'ended') return { kind: 'retryable', cause: 'not-connected', detail: text };
  // Failures that are not of the network are of the TLS handshake: certificates, protocol versions.
  return { kind: 'retryable', cause: connectCause(code), detail: text };
}
