/** The keys that envelopes are sealed to: X25519 (RFC 7748). */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import type { Entropy } from '../entropy.ts';
import type { KeyKind } from '../signing/key-folder.ts';
import { keyIdOf, type Signer } from '../signing/signature.ts';

/** PKCS #8 of an X25519 key (RFC 8410) up to its 32 secret bytes. */
const PKCS8_START = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SECRET_BYTES = 32;

/** An X25519 private key of the entropy given. */
export function newSealKey(entropy: Entropy): KeyObject {
  const der = Buffer.concat([PKCS8_START, entropy.bytes(SECRET_BYTES)]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

/** Whether a key, public or private, is one that envelopes can be sealed to. */
export function isSealKey(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'x25519';
}

export const SEALING: KeyKind = { name: 'an X25519 private key', of: sealKeyOf };

/** A router's private keys that open seals; files as in `<data_dir>/keys`. */
export function sealKeyFolder(dataDir: string): string {
  return join(dataDir, 'seal-keys');
}

function sealKeyOf(key: KeyObject): Signer {
  if (key.type !== 'private' || !isSealKey(key)) throw new RangeError('not an X25519 private key');
  return { keyId: keyIdOf(createPublicKey(key)), key };
}
