/**
 * Signatures with Ed25519 (RFC 8032). The signed bytes are DSSE's pre-authentication encoding of a type and a
 * payload (https://github.com/secure-systems-lab/dsse, protocol.md), so that a signature over one kind of
 * content, an envelope for example, never counts for another kind, a receipt or a token.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** Hex digits of a key id. */
const KEY_ID_DIGITS = 16;

/** A private key with its id. */
export interface Signer {
  /** 16 hex digits: see {@link keyIdOf}. */
  readonly keyId: string;
  readonly key: KeyObject;
}

/** The signer of an Ed25519 private key. Throws RangeError for a key of another kind. */
export function signerOf(key: KeyObject): Signer {
  if (key.type !== 'private' || !isSigningKey(key)) throw new RangeError('not an Ed25519 private key');
  return { keyId: keyIdOf(createPublicKey(key)), key };
}

/** Whether a key, public or private, is of the kind that signs: Ed25519. */
export function isSigningKey(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ed25519';
}

/**
 * The id of a public key: the first 8 bytes of SHA-256 of its SubjectPublicKeyInfo in DER, as 16 hex digits.
 * An id finds a key; it proves nothing.
 */
export function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, KEY_ID_DIGITS);
}

/** The signature, of 64 bytes, over a payload of this type. */
export function signatureOf({ key }: Signer, type: string, payload: Uint8Array): Uint8Array {
  return sign(null, preAuthenticationEncoding(type, payload), key);
}

/** Whether the signature is the key's, over a payload of this type. Runs in libuv's pool; never rejects. */
export function isSignatureOf(
  publicKey: KeyObject,
  type: string,
  payload: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const message = preAuthenticationEncoding(type, payload);
  return new Promise((resolve) => {
    verify(null, message, publicKey, signature, (error, isValid) => resolve(error === null && isValid));
  });
}

/** As {@link isSignatureOf}, on the calling thread: for small payloads that come now and then. */
export function isSignatureOfSync(
  publicKey: KeyObject,
  type: string,
  payload: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verify(null, preAuthenticationEncoding(type, payload), publicKey, signature);
}

/** `DSSEv1 <bytes of type> <type> <bytes of payload> <payload>`, the numbers in decimal. */
function preAuthenticationEncoding(type: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}
