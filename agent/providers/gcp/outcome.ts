/**
 * The outcome of a failed publish, from gRPC's status code (google.rpc.Code; "Pub/Sub error codes") and,
 * where the code is ambiguous, from grpc-js' message: it reports as UNAVAILABLE both calls that were never
 * sent and calls that were lost. Only a certain cause is named; a lost connection means that the envelope may
 * have arrived.
 */
import { status } from '@grpc/grpc-js';
import { z } from 'zod';
import { errorText } from '../../../shared/log.ts';
import type { Outcome, RetryableCause } from '../publisher.ts';

/** grpc-js: the call had no connection to be sent on. */
const NEVER_SENT = /^(No connection established|Name resolution failed|Channel closed before call started)/;
/** grpc-js: the connection or the stream ended during the call, without a status of the service. */
const LOST = /Connection dropped|ECONNRESET|ETIMEDOUT|EPIPE|RST_STREAM|without gRPC status|Call cancelled/;
/** "Quota exceeded for quota metric … and limit …" (google.rpc.QuotaFailure; "Pub/Sub quotas and limits"). */
const QUOTA = /quota/i;
/**
 * gRPC's own limit of a message, of a server or of a proxy before it, in the words of its implementations in
 * C++, Node and Go, and in Java (python-pubsub#3).
 */
const LARGER_THAN_GRPC = /message larger than max|message exceeds maximum size/i;
/** grpc-js: the client's own credentials could not be created. */
const NO_CREDENTIALS = /^Getting metadata from plugin failed/;

const CONNECT_CAUSES: readonly [RegExp, RetryableCause][] = [
  [/ECONNREFUSED/, 'connection-refused'],
  [/ECONNRESET|EPIPE|socket disconnected|Socket closed|Connection closed/, 'connection-reset'],
  [/certificate|self-signed|altname|SSL|TLS|ERR_TLS/i, 'tls'],
  [/ENOTFOUND|EAI_AGAIN|Name resolution/, 'dns'],
  [/ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|Channel closed/, 'not-connected'],
];

/** `error`: the SDK's rejection. */
export function outcomeOf(error: unknown): Outcome {
  const code = codeOf(error);
  const words = wordsOf(error);
  const detail = code === null ? words : `${status[code]}: ${words}`;
  const retryable = (cause: RetryableCause): Outcome => ({ kind: 'retryable', cause, detail });
  if (code === null) return retryable('not-connected');
  if (NO_CREDENTIALS.test(words)) return withoutCredentials(words, detail);
  if (NEVER_SENT.test(words)) return retryable(connectCause(words));
  switch (code) {
    case status.DEADLINE_EXCEEDED:
      return { kind: 'unknown', cause: 'deadline', detail };
    case status.RESOURCE_EXHAUSTED:
      if (LARGER_THAN_GRPC.test(words))
        return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
      return {
        kind: 'throttled',
        ...(QUOTA.test(words) && { cause: 'quota' }),
        retryAfterMs: retryAfterOf(error),
        detail,
      };
    case status.PERMISSION_DENIED:
    case status.UNAUTHENTICATED:
      return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
    case status.NOT_FOUND:
      return { kind: 'rejected', scope: 'provider', cause: 'not-found', detail };
    case status.INVALID_ARGUMENT: {
      const cause = /size|too large|exceeds/i.test(words) ? 'too-large' : 'invalid';
      return { kind: 'rejected', scope: 'envelope', cause, detail };
    }
    default:
      if (LOST.test(words)) return { kind: 'unknown', cause: 'connection-lost', detail };
      return retryable(code === status.UNAVAILABLE ? 'unavailable' : 'server-error');
  }
}

/** google.rpc.RetryInfo among the details, as the SDK decodes them: seconds may be a Long. */
const retryInfo = z.object({
  retryDelay: z.object({ seconds: z.unknown(), nanos: z.number().nullish() }),
});

/** The server puts one of each kind there. */
const DETAILS_MAX = 16;

function retryAfterOf(error: unknown): number | null {
  const details =
    typeof error === 'object' && error !== null && 'statusDetails' in error && error.statusDetails;
  for (const detail of Array.isArray(details) ? details.slice(0, DETAILS_MAX) : []) {
    const { data } = retryInfo.safeParse(detail);
    const ms =
      data && Number(String(data.retryDelay.seconds ?? 0)) * 1000 + (data.retryDelay.nanos ?? 0) / 1e6;
    if (ms !== undefined && Number.isFinite(ms)) return ms;
  }
  return null;
}

/** An unreachable token endpoint is temporary; a key that does not sign needs an operator. */
export function withoutCredentials(words: string, detail = words): Outcome {
  const cause = connectCause(words);
  if (cause !== 'unavailable') return { kind: 'retryable', cause, detail };
  return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
}

function connectCause(words: string): RetryableCause {
  return CONNECT_CAUSES.find(([pattern]) => pattern.test(words))?.[1] ?? 'unavailable';
}

function codeOf(error: unknown): status | null {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  return typeof code === 'number' && code in status ? code : null;
}

/** The details of the status; the SDK puts the code in front of them in `message`. */
function wordsOf(error: unknown): string {
  const details = typeof error === 'object' && error !== null && 'details' in error ? error.details : null;
  return errorText(typeof details === 'string' && details !== '' ? details : error);
}
