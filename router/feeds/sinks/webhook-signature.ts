/**
 * Signatures of webhooks by Standard Webhooks 1.0.0 (standardwebhooks.com, "Signature scheme"): HMAC-SHA-256
 * over `id.timestamp.body`, one signature per secret, so that a rotation of the secret loses no delivery.
 */
import { createHmac } from 'node:crypto';

const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
/** "between 24 bytes and 64 bytes" (Signature scheme, "Symmetric"). */
const KEY_BYTES_MIN = 24;
const KEY_BYTES_MAX = 64;

/** The keys of one or more secrets `whsec_<base64>`, separated by white space; null when any is malformed. */
export function parseSecrets(text: string): Buffer[] | null {
  const keys = text
    .split(/\s+/)
    .filter((part) => part !== '')
    .map((part) => Buffer.from(SECRET.exec(part)?.[1] ?? '', 'base64'));
  const sound = keys.every((key) => key.length >= KEY_BYTES_MIN && key.length <= KEY_BYTES_MAX);
  return sound && keys.length > 0 ? keys : null;
}

/** The value of `webhook-signature`. `timestampS`: seconds since the Unix epoch. */
export function signatureHeader(
  keys: readonly Buffer[],
  { id, timestampS, body }: { id: string; timestampS: number; body: Buffer },
): string {
  return keys
    .map((key) => createHmac('sha256', key).update(`${id}.${timestampS}.`).update(body).digest('base64'))
    .map((signature) => `v1,${signature}`)
    .join(' ');
}
