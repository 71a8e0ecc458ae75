/**
 * Authenticates a request: by a client certificate of a trusted authority, or by a token signed with a
 * registered key.
 */
import type { KeyObject } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import { decodeJwt, type JWTPayload, jwtVerify } from 'jose';
import { type Clock, dateOf } from '../../../shared/clock.ts';
import { TOKEN_LIFE_S_MAX, tokenAlgorithm } from '../../../shared/gateway-token.ts';
import { commonNameOf } from '../../../shared/tls-files.ts';

/** Why a login is refused. The text is the metric label, and the answer to the gateway. */
export type LoginRefusal =
  /** The request has neither a certificate nor a token. */
  | 'no-credentials'
  /** The certificate is not of a trusted authority, or has no single common name. */
  | 'certificate'
  /** The token is not signed by a registered key of the gateway that it names, or is for another router. */
  | 'token'
  /** The token is not yet, or no longer, valid by this router's clock. */
  | 'token-time';

export type Login = { gateway: string } | { refused: LoginRefusal };

/** The gateway's clock may differ from ours by this much. */
const CLOCK_TOLERANCE_S = 60;

export interface LoginOptions {
  keysOf: (gateway: string) => readonly KeyObject[];
  audience: string;
  clock: Clock;
}

/** `authorization` is the header of that name. Never rejects. */
export async function logIn(
  socket: unknown,
  authorization: string | undefined,
  options: LoginOptions,
): Promise<Login> {
  const name = commonNameOf(socket);
  if (name !== null) {
    const isTrusted = socket instanceof TLSSocket && socket.authorized && name !== '';
    return isTrusted ? { gateway: name } : { refused: 'certificate' };
  }
  const token = /^Bearer ([\w.-]{1,2048})$/i.exec(authorization ?? '')?.[1];
  return token === undefined ? { refused: 'no-credentials' } : byToken(token, options);
}

async function byToken(token: string, { keysOf, audience, clock }: LoginOptions): Promise<Login> {
  const gateway = claimed(token);
  if (gateway === null) return { refused: 'token' };
  let refused: LoginRefusal = 'token';
  for (const key of keysOf(gateway)) {
    const algorithm = tokenAlgorithm(key);
    if (algorithm === null) continue;
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [algorithm],
        audience,
        subject: gateway,
        requiredClaims: ['iat', 'exp'],
        maxTokenAge: TOKEN_LIFE_S_MAX,
        clockTolerance: CLOCK_TOLERANCE_S,
        currentDate: dateOf(clock.wallMs()),
      });
      return isShortLived(payload) ? { gateway } : { refused: 'token' };
    } catch (error) {
      if (isAboutTime(error)) refused = 'token-time';
    }
  }
  return { refused };
}

/** The gateway that an unverified token names; null when the text is not a token. */
function claimed(token: string): string | null {
  try {
    return decodeJwt(token).sub ?? null;
  } catch {
    return null; // Not a JWT.
  }
}

function isShortLived({ iat, exp }: JWTPayload): boolean {
  return iat !== undefined && exp !== undefined && exp - iat <= TOKEN_LIFE_S_MAX;
}

/** The signature is valid and the time is not (jose's error codes). */
function isAboutTime(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const claim: unknown = Reflect.get(error, 'claim');
  return claim === 'iat' || claim === 'exp' || claim === 'nbf';
}
