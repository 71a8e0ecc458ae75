/**
 * The token by which a gateway says who it is to a router: a JWT (RFC 7519) that it signs with its own key,
 * of which the router knows the public half. It lives for minutes, so that one that was read off a log or a
 * proxy is soon worth nothing.
 *
 *   alg  EdDSA (Ed25519) or ES256        sub  the gateway's name
 *   aud  which router it is for          iat, exp  seconds; exp at most fifteen minutes after iat
 */
import type { KeyObject } from 'node:crypto';

export const TOKEN_AUDIENCE = 'headgate';
/** Longest life that a router grants, in seconds. */
export const TOKEN_LIFE_S_MAX = 900;

/** The JWS algorithm of a gateway's key, public or private; null when it is of no kind that is taken. */
export function tokenAlgorithm(key: KeyObject): 'EdDSA' | 'ES256' | null {
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  const curve = key.asymmetricKeyDetails?.namedCurve;
  return key.asymmetricKeyType === 'ec' && curve === 'prime256v1' ? 'ES256' : null;
}
