/**
 * AWS Signature Version 4, server side: every request's signature is recomputed, and refused like at AWS.
 * After "Create a signed AWS API request" (IAM User Guide) and its "Elements of an AWS API request
 * signature".
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isoTime } from '../../shared/clock.ts';

export interface AwsKeys {
  accessKeyId: string;
  secretAccessKey: string;
}

/** Temporary keys of a role. */
export interface AwsSession extends AwsKeys {
  token: string;
  /** Wall-clock milliseconds. */
  expiresMs: number;
}

/** The signed part of a request. `target` is the path and query of the request line. */
export interface SignedRequest {
  method: string;
  target: string;
  headers: IncomingHttpHeaders;
  body: Uint8Array;
}

export interface Signer {
  keys: AwsKeys;
  /** By the id of their access key. */
  sessions?: ReadonlyMap<string, AwsSession>;
  region: string;
  /** `iotdata`, `sqs`. */
  service: string;
}

/** A refusal as at AWS, always with status 403. The type is the `x-amzn-ErrorType` of the answer. */
export interface SignatureRefusal {
  type:
    | 'MissingAuthenticationTokenException'
    | 'UnrecognizedClientException'
    | 'ExpiredTokenException'
    | 'InvalidSignatureException';
  message: string;
}

/** AWS accepts a signature five minutes before and after its time. */
const TOLERANCE_MS = 300_000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

/** Null for a correct and current signature. */
export function refuseSignature(
  request: SignedRequest,
  signer: Signer,
  nowMs: number,
): SignatureRefusal | null {
  const parts = AUTHORIZATION.exec(request.headers.authorization ?? '');
  if (!parts) return { type: 'MissingAuthenticationTokenException', message: 'Missing Authentication Token' };
  const [, accessKeyId, date, region, service, signedHeaders = '', signature = ''] = parts;
  const keys = keysOf(accessKeyId, request.headers, signer);
  if (!keys) {
    return {
      type: 'UnrecognizedClientException',
      message: 'The security token included in the request is invalid.',
    };
  }
  if ('expiresMs' in keys && keys.expiresMs <= nowMs) {
    return {
      type: 'ExpiredTokenException',
      message: 'The security token included in the request is expired.',
    };
  }
  const time = headerText(request.headers, 'x-amz-date');
  const stale = staleness(time, nowMs);
  if (stale) return { type: 'InvalidSignatureException', message: stale };
  if (region !== signer.region || service !== signer.service || date !== time.slice(0, 8)) {
    return {
      type: 'InvalidSignatureException',
      message: `Credential should be scoped to ${signer.region}/${signer.service}, and to the day of the request.`,
    };
  }
  const names = signedHeaders.split(';');
  const right = names.includes('host') ? signatureOf(request, names, time, { ...signer, keys }) : '';
  if (!sameText(signature, right)) {
    return {
      type: 'InvalidSignatureException',
      message: 'The request signature we calculated does not match the signature you provided.',
    };
  }
  return null;
}

/** The keys with this id: a session's only beside its token. */
function keysOf(
  accessKeyId: string | undefined,
  headers: IncomingHttpHeaders,
  { keys, sessions }: Signer,
): AwsKeys | AwsSession | null {
  if (accessKeyId === keys.accessKeyId) return keys;
  const session = sessions?.get(accessKeyId ?? '');
  return session?.token === headerText(headers, 'x-amz-security-token') ? (session ?? null) : null;
}

/** The signature of a request, in hex. `time` as in `x-amz-date`: `20150830T123600Z`. */
export function signatureOf(
  request: SignedRequest,
  signedHeaders: string[],
  time: string,
  signer: Signer,
): string {
  const date = time.slice(0, 8);
  const scope = `${date}/${signer.region}/${signer.service}/aws4_request`;
  const canonical = [
    request.method,
    canonicalPath(request.target),
    canonicalQuery(request.target),
    ...signedHeaders.map((name) => `${name}:${headerText(request.headers, name).trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders.join(';'),
    createHash('sha256').update(request.body).digest('hex'),
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')];
  let key: string | Buffer = `AWS4${signer.keys.secretAccessKey}`;
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  return createHmac('sha256', key).update(toSign.join('\n')).digest('hex');
}

/** Encodes each segment of the path once more than on the wire (every service but S3). */
function canonicalPath(target: string): string {
  const path = target.split('?', 1)[0] ?? '';
  return path.split('/').map(uriEncode).join('/');
}

function canonicalQuery(target: string): string {
  const at = target.indexOf('?');
  if (at < 0) return '';
  return target
    .slice(at + 1)
    .split('&')
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    .sort()
    .join('&');
}

function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function headerText(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name] ?? '';
  return typeof value === 'string' ? value : value.join(',');
}

/** AWS's text for a time outside the tolerance; null within it. Times of this format compare as text. */
function staleness(time: string, nowMs: number): string | null {
  const now = amzDate(nowMs);
  const earliest = amzDate(nowMs - TOLERANCE_MS);
  const latest = amzDate(nowMs + TOLERANCE_MS);
  if (time < earliest) return `Signature expired: ${time} is now earlier than ${earliest} (${now} - 5 min.)`;
  if (time > latest)
    return `Signature not yet current: ${time} is still later than ${latest} (${now} + 5 min.)`;
  return null;
}

function amzDate(wallMs: number): string {
  return isoTime(wallMs).replace(/[-:]|\.\d{3}/g, '');
}

function sameText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
