/**
 * The token that authenticates a gateway to a router: a JWT (RFC 7519) signed with the gateway's own key,
 * whose public half the router knows. It is valid for minutes, so a token copied from a log or a proxy soon
 * expires.
 *
 *   alg  EdDSA (Ed25519) or ES256        sub  the gateway's name
 *   aud  the router it is for            iat, exp  seconds; exp at most fifteen minutes after iat
 */
import type { KeyObject } from 'node:crypto';

export const TOKEN_AUDIENCE = 'headgate';
/** Longest validity that a router accepts, in seconds. */
export const TOKEN_LIFE_S_MAX = 900;

/** The JWS algorithm of a gateway's key, public or private; null for an unsupported type. */
export function tokenAlgorithm(key: KeyObject): 'EdDSA' | 'ES256' | null {
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  const curve = key.asymmetricKeyDetails?.namedCurve;
  return key.asymmetricKeyType === 'ec' && curve === 'prime256v1' ? 'ES256' : null;
}
