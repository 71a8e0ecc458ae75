/**
 * A content key for a recipient and back, with HPKE in base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256),
 * HKDF-SHA256, AES-256-GCM. The gateway's name is in `info`: a key that was wrapped for the envelopes of one
 * gateway opens none of another.
 */
import { type KeyObject, webcrypto } from 'node:crypto';
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import type { Entropy } from '../entropy.ts';
import { CONTENT_KEY_BYTES, type WrappedKey } from '../envelope/seal.ts';
import { keyIdOf } from '../signing/signature.ts';

const IKM_BYTES = 32;
const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

/** Wraps a content key for the holder of `publicKey`, an X25519 key. */
export async function wrapContentKey(
  key: Uint8Array,
  { publicKey, gateway, entropy }: { publicKey: KeyObject; gateway: string; entropy: Entropy },
): Promise<WrappedKey> {
  const recipientPublicKey = await publicHalf(publicKey);
  const ekm = bufferOf(entropy.bytes(IKM_BYTES));
  const sealed = await suite.seal({ recipientPublicKey, info: infoOf(gateway), ekm }, bufferOf(key));
  return {
    keyId: keyIdOf(publicKey),
    enc: new Uint8Array(sealed.enc),
    wrapped: new Uint8Array(sealed.ct),
  };
}

/** Null when it was not wrapped for this private key and this gateway. */
export async function unwrapContentKey(
  { enc, wrapped }: Pick<WrappedKey, 'enc' | 'wrapped'>,
  { pair, gateway }: { pair: KeyPair; gateway: string },
): Promise<Uint8Array | null> {
  try {
    const opening = { recipientKey: pair, enc: bufferOf(enc), info: infoOf(gateway) };
    const key = new Uint8Array(await suite.open(opening, bufferOf(wrapped)));
    return key.length === CONTENT_KEY_BYTES ? key : null;
  } catch {
    // The library has one error for each step; for a reader they are one: not for this key.
    return null;
  }
}

/** Both halves of a recipient's key, as Web Cryptography holds them. */
export type KeyPair = Pick<webcrypto.CryptoKeyPair, 'privateKey' | 'publicKey'>;

export async function keyPairOf(privateKey: KeyObject, publicKey: KeyObject): Promise<KeyPair> {
  const der = bufferOf(privateKey.export({ type: 'pkcs8', format: 'der' }));
  return {
    privateKey: await webcrypto.subtle.importKey('pkcs8', der, 'X25519', false, ['deriveBits']),
    publicKey: await publicHalf(publicKey),
  };
}

function publicHalf(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = bufferOf(key.export({ type: 'spki', format: 'der' }));
  return webcrypto.subtle.importKey('spki', der, 'X25519', true, []);
}

function infoOf(gateway: string): ArrayBuffer {
  return bufferOf(Buffer.from(`headgate sealed envelope ${gateway}`));
}

/** The library takes buffers alone. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
