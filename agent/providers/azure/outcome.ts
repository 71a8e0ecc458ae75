/**
 * The meaning of a connect failure. The SDK reports every failure of a first connection as
 * `UnauthorizedError`, also when the network is down, so its error classes carry no information. The MQTT
 * client underneath has the error code of the socket or the return code of the CONNACK.
 */
import { errorText } from '../../../shared/log.ts';
import { refusesCertificate } from '../certificates.ts';
import type { Outcome, RetryableCause } from '../publisher.ts';

/** Why there is no connection: no byte of a publish was sent. */
export type ConnectFailure = Extract<Outcome, { kind: 'retryable' | 'rejected' }>;

const CAUSES: ReadonlyMap<string, RetryableCause> = new Map([
  ['ECONNREFUSED', 'connection-refused'],
  ['ECONNRESET', 'connection-reset'],
  ['EPIPE', 'connection-reset'],
  ['ENOTFOUND', 'dns'],
  ['EAI_AGAIN', 'dns'],
]);

/** Codes of Node's TLS and of OpenSSL's certificate verification. */
const TLS_CODE =
  /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/;

/** `heard`: the error of the MQTT client underneath, if any; `told`: the SDK's error. */
export function connectFailure(heard: Error | null, told: unknown): ConnectFailure {
  const error = heard ?? told;
  const code = codeOf(error);
  const detail = errorText(error);
  if (typeof code === 'number') return refusal(code, detail);
  if (code !== null && refusesCertificate(code)) return unauthorized(detail);
  if (code !== null && TLS_CODE.test(code)) return { kind: 'retryable', cause: 'tls', detail };
  if (code !== null) return { kind: 'retryable', cause: CAUSES.get(code) ?? 'not-connected', detail };
  // All errors of the MQTT client have a code, except those of its parser: the server does not speak MQTT.
  return { kind: 'retryable', cause: heard ? 'server-error' : 'not-connected', detail };
}

/** CONNACK return codes (MQTT 3.1.1, 3.2.2.3). */
function refusal(returnCode: number, detail: string): ConnectFailure {
  switch (returnCode) {
    case 3:
      return { kind: 'retryable', cause: 'unavailable', detail };
    case 4:
    case 5:
      return unauthorized(detail);
    default:
      return { kind: 'rejected', scope: 'provider', cause: 'invalid', detail };
  }
}

function codeOf(error: unknown): string | number | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' || typeof error.code === 'number' ? error.code : null;
}

export function unauthorized(detail: string): ConnectFailure {
  return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
}

export function notConnected(detail: string): ConnectFailure {
  return { kind: 'retryable', cause: 'not-connected', detail };
}

export function lost(detail: string): Outcome {
  return { kind: 'unknown', cause: 'connection-lost', detail };
}
