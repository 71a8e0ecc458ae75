/** Which errors of the servers are final. */
import { JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream';
import { ClosedConnectionError, DrainingConnectionError } from '@nats-io/transport-node';

/**
 * Transient errors: no suitable peers, while a cluster starts (nats-server, server/errors.json), and stream
 * not found, from a server that has not yet learned of a new stream.
 */
const PASSING: ReadonlySet<number> = new Set([10_005, JetStreamApiCodes.StreamNotFound]);

/**
 * A final error: the server refused the request (4xx), or this side closed the connection. All others are
 * transient: no leader, no answer, no connection, and a server that does not know a new stream yet.
 */
export function isFinal(error: unknown): boolean {
  if (error instanceof ClosedConnectionError || error instanceof DrainingConnectionError) return true;
  return error instanceof JetStreamApiError && error.status < 500 && !PASSING.has(error.code);
}

export function isApiError(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}
