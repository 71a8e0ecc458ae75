import t from 'tap';
import { outcomeOf } from '../../../../agent/providers/aws/outcome.ts';
import { RequestFailed } from '../../../../agent/providers/aws/request-handler.ts';
import type { Outcome } from '../../../../agent/providers/publisher.ts';

const HOUR_MS = 3_600_000;

interface Case {
  error: unknown;
  clockMovedMs?: number;
  outcome: Outcome;
}

function answered(status: number, name: string, headers: Record<string, string> = {}): Error {
  const message = 'The Canonical String was: x-amz-security-token:SESSION-TOKEN';
  return Object.assign(new Error(message), {
    name,
    $metadata: { httpStatusCode: status },
    $response: { headers },
  });
}

function cut(code: string): Error {
  return new RequestFailed(`read ${code}`, code, true);
}

function unsent(code: string): Error {
  return new RequestFailed(`connect ${code}`, code, false);
}

const unauthorized = { kind: 'rejected', scope: 'provider', cause: 'unauthorized' } as const;
const envelope = { kind: 'rejected', scope: 'envelope' } as const;
const broken = { kind: 'retryable', cause: 'server-error' } as const;
const lost = { kind: 'unknown', cause: 'connection-lost' } as const;

const CASES: Case[] = [
  {
    error: answered(403, 'ForbiddenException'),
    outcome: { ...unauthorized, detail: 'HTTP 403 ForbiddenException' },
  },
  {
    error: answered(401, 'UnauthorizedException'),
    outcome: { ...unauthorized, detail: 'HTTP 401 UnauthorizedException' },
  },
  {
    error: answered(403, 'InvalidSignatureException'),
    clockMovedMs: 900,
    outcome: { ...unauthorized, detail: 'HTTP 403 InvalidSignatureException' },
  },
  {
    error: answered(403, 'ForbiddenException'),
    clockMovedMs: -HOUR_MS,
    outcome: { kind: 'retryable', cause: 'clock-skew', detail: 'HTTP 403 ForbiddenException' },
  },
  ...[410, 402, 429].map((status) => ({
    error: answered(status, status === 402 ? 'ServiceQuotaExceededException' : 'LimitExceededException'),
    outcome: {
      kind: 'throttled',
      cause: 'quota',
      retryAfterMs: null,
      detail: `HTTP ${status} ${status === 402 ? 'ServiceQuotaExceededException' : 'LimitExceededException'}`,
    } as const,
  })),
  {
    error: answered(404, 'ResourceNotFoundException'),
    outcome: {
      kind: 'rejected',
      scope: 'provider',
      cause: 'not-found',
      detail: 'HTTP 404 ResourceNotFoundException',
    },
  },
  {
    error: answered(413, 'RequestEntityTooLargeException'),
    outcome: { ...envelope, cause: 'too-large', detail: 'HTTP 413 RequestEntityTooLargeException' },
  },
  {
    error: answered(400, 'InvalidRequestException'),
    outcome: { ...envelope, cause: 'invalid', detail: 'HTTP 400 InvalidRequestException' },
  },
  {
    error: answered(429, 'ThrottlingException'),
    outcome: { kind: 'throttled', retryAfterMs: null, detail: 'HTTP 429 ThrottlingException' },
  },
  {
    error: answered(429, 'ThrottlingException', { 'retry-after': '7' }),
    outcome: { kind: 'throttled', retryAfterMs: 7000, detail: 'HTTP 429 ThrottlingException' },
  },
  {
    error: answered(400, 'ThrottlingException'),
    outcome: { kind: 'throttled', retryAfterMs: null, detail: 'HTTP 400 ThrottlingException' },
  },
  ...['AccessDeniedException', 'ExpiredTokenException', 'IncompleteSignature'].map((name) => ({
    error: answered(400, name),
    outcome: {
      kind: 'rejected',
      scope: 'provider',
      cause: 'unauthorized',
      detail: `HTTP 400 ${name}`,
    } as const,
  })),
  {
    error: answered(408, 'RequestTimeout'),
    outcome: { kind: 'retryable', cause: 'unavailable', detail: 'HTTP 408 RequestTimeout' },
  },
  {
    error: answered(500, 'InternalFailureException'),
    outcome: { ...broken, detail: 'HTTP 500 InternalFailureException' },
  },
  { error: answered(503, 'SyntaxError'), outcome: { ...broken, detail: 'HTTP 503 SyntaxError' } },
  // A server whose clock is wrong must not look like a client's: only a refusal counts.
  { error: answered(500, 'Error'), clockMovedMs: HOUR_MS, outcome: { ...broken, detail: 'HTTP 500 Error' } },
  {
    error: answered(302, 'SyntaxError'),
    outcome: { kind: 'retryable', cause: 'unavailable', detail: 'HTTP 302 SyntaxError' },
  },
  { error: answered(200, 'SyntaxError'), outcome: { ...lost, detail: 'HTTP 200 SyntaxError' } },
  { error: cut('ECONNRESET'), outcome: { ...lost, detail: 'ECONNRESET' } },
  { error: cut('EPIPE'), outcome: { ...lost, detail: 'EPIPE' } },
  {
    error: unsent('ECONNRESET'),
    outcome: { kind: 'retryable', cause: 'connection-reset', detail: 'ECONNRESET' },
  },
  {
    error: unsent('ECONNREFUSED'),
    outcome: { kind: 'retryable', cause: 'connection-refused', detail: 'ECONNREFUSED' },
  },
  ...['ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'].map((code): Case => {
    const cause = code === 'ENOTFOUND' || code === 'EAI_AGAIN' ? 'dns' : 'not-connected';
    const outcome: Outcome = { kind: 'retryable', cause, detail: code };
    return { error: unsent(code), outcome };
  }),
  ...['CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'EPROTO'].map((code): Case => {
    return {
      error: unsent(code),
      outcome: { kind: 'retryable', cause: 'tls', detail: code },
    };
  }),
  {
    error: Object.assign(new Error('Could not load credentials'), { name: 'CredentialsProviderError' }),
    outcome: { ...unauthorized, detail: 'no credentials found' },
  },
  { error: new TypeError('odd'), outcome: { ...lost, detail: 'TypeError: odd' } },
  { error: 'thrown text', outcome: { ...lost, detail: 'Error: ' } },
];

t.test('every error has its outcome, and none shows what the server quoted', (t) => {
  for (const { error, clockMovedMs = 0, outcome } of CASES) {
    const actual = outcomeOf(error, clockMovedMs);
    t.same(actual, outcome);
    t.notMatch(JSON.stringify(actual), /SESSION-TOKEN/);
  }
  t.end();
});
