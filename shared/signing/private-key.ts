/** New private keys. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { Entropy } from '../entropy.ts';

/** PKCS #8 of an Ed25519 key (RFC 8410) up to its 32 secret bytes. */
const PKCS8_START = Buffer.from('302e020100300506032b657004220420', 'hex');
const SECRET_BYTES = 32;

/** An Ed25519 private key of the entropy given. */
export function newPrivateKey(entropy: Entropy): KeyObject {
  const der = Buffer.concat([PKCS8_START, entropy.bytes(SECRET_BYTES)]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}
