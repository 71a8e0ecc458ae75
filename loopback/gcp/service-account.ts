/**
 * A service account, and the check of its self-signed JWTs like the vendor's for Pub/Sub ("Self-signed JWTs",
 * AIP-4111): RS256, issuer and subject are the account, valid for at most an hour. The audience is the host
 * of the service or the called gRPC service; a JWT without an audience has a scope of Pub/Sub.
 */
import { type KeyObject, generateKeyPair as nodeGenerateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { errors, jwtVerify } from 'jose';
import { type Clock, dateOf } from '../../shared/clock.ts';

const AUDIENCE = 'https://pubsub.googleapis.com/';
const SCOPES: readonly string[] = [
  'https://www.googleapis.com/auth/pubsub',
  'https://www.googleapis.com/auth/cloud-platform',
];
const generateKeyPair = promisify(nodeGenerateKeyPair);

export interface ServiceAccount {
  clientEmail: string;
  /** PKCS #8 PEM, as in the vendor's key files. */
  privateKey: string;
  publicKey: KeyObject;
}

export async function createServiceAccount(project: string): Promise<ServiceAccount> {
  const keys = await generateKeyPair('rsa', { modulusLength: 2048 });
  return {
    clientEmail: `headgate@${project}.iam.gserviceaccount.com`,
    privateKey: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: keys.publicKey,
  };
}

/**
 * Whether an `authorization` header carries a JWT that this account signed for Pub/Sub and that is valid now.
 * `service`: the called one, as `google.pubsub.v1.Publisher`.
 */
export async function isAuthorised(
  account: ServiceAccount,
  authorization: string,
  service: string,
  clock: Clock,
): Promise<boolean> {
  if (!authorization.startsWith('Bearer ')) return false;
  try {
    const { payload } = await jwtVerify(authorization.slice('Bearer '.length), account.publicKey, {
      algorithms: ['RS256'],
      issuer: account.clientEmail,
      subject: account.clientEmail,
      requiredClaims: ['iss', 'sub', 'iat', 'exp'],
      maxTokenAge: '1h',
      currentDate: dateOf(clock.wallMs()),
    });
    const { aud, scope } = payload;
    if (aud !== undefined) return aud === AUDIENCE || aud === AUDIENCE + service;
    return typeof scope === 'string' && scope.split(' ').some((each) => SCOPES.includes(each));
  } catch (error) {
    if (error instanceof errors.JOSEError) return false;
    throw error;
  }
}
