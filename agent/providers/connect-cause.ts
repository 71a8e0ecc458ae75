/** Why a request over HTTPS could not connect. */
import type { RetryableCause } from './publisher.ts';

const CONNECT_CAUSES: Readonly<Record<string, RetryableCause>> = {
  ECONNREFUSED: 'connection-refused',
  ECONNRESET: 'connection-reset',
  EPIPE: 'connection-reset',
  ETIMEDOUT: 'not-connected',
  EPROXY: 'not-connected',
  ENODEV: 'not-connected',
  EHOSTUNREACH: 'not-connected',
  ENETUNREACH: 'not-connected',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
};

/** The cause behind a code of Node.js's sockets; all others are errors of TLS. */
export function connectCause(code: string | null | undefined): RetryableCause {
  return CONNECT_CAUSES[code ?? ''] ?? 'tls';
}
