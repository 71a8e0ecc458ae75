/**
 * A second reader of HPKE in base mode, written after RFC 9180 (sections 4.1 and 5.1) with node:crypto alone:
 * DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-GCM.
 */
import { createDecipheriv, createHmac, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';

/** Hex, of the recipient. */
export interface Recipient {
  privateKey: string;
  publicKey: string;
}

export interface Sealed {
  enc: Uint8Array;
  ciphertext: Uint8Array;
  info: Uint8Array;
  aad: Uint8Array;
}

const VERSION = Buffer.from('HPKE-v1');
const KEM = Buffer.from('KEM\x00\x20', 'latin1');
const AEAD_KEY_BYTES = { 1: 16, 2: 32 } as const;

export function openBase(
  { enc, ciphertext, info, aad }: Sealed,
  { privateKey, publicKey }: Recipient,
  aead: keyof typeof AEAD_KEY_BYTES,
): Buffer {
  const dh = diffieHellman({
    privateKey: createPrivateKey({
      key: Buffer.concat([
        Buffer.from('302e020100300506032b656e04220420', 'hex'),
        Buffer.from(privateKey, 'hex'),
      ]),
      format: 'der',
      type: 'pkcs8',
    }),
    publicKey: createPublicKey({
      key: Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), enc]),
      format: 'der',
      type: 'spki',
    }),
  });
  const context = Buffer.concat([enc, Buffer.from(publicKey, 'hex')]);
  const shared = expand(extract(Buffer.alloc(0), 'eae_prk', dh, KEM), 'shared_secret', context, 32, KEM);
  const suite = Buffer.concat([Buffer.from('HPKE'), Buffer.of(0, 0x20, 0, 1, 0, aead)]);
  const empty = Buffer.alloc(0);
  const schedule = Buffer.concat([
    Buffer.of(0),
    extract(empty, 'psk_id_hash', empty, suite),
    extract(empty, 'info_hash', info, suite),
  ]);
  const secret = extract(shared, 'secret', empty, suite);
  const key = expand(secret, 'key', schedule, AEAD_KEY_BYTES[aead], suite);
  const nonce = expand(secret, 'base_nonce', schedule, 12, suite);
  const decipher = createDecipheriv(aead === 1 ? 'aes-128-gcm' : 'aes-256-gcm', key, nonce);
  decipher.setAAD(aad);
  decipher.setAuthTag(ciphertext.subarray(-16));
  return Buffer.concat([decipher.update(ciphertext.subarray(0, -16)), decipher.final()]);
}

function extract(salt: Uint8Array, label: string, ikm: Uint8Array, suite: Uint8Array): Buffer {
  return hmac(salt, VERSION, suite, Buffer.from(label), ikm);
}

/** Up to 32 bytes: one round. */
function expand(prk: Uint8Array, label: string, info: Uint8Array, length: number, suite: Uint8Array): Buffer {
  const labelled = [Buffer.of(0, length), VERSION, suite, Buffer.from(label), info];
  return hmac(prk, ...labelled, Buffer.of(1)).subarray(0, length);
}

function hmac(key: Uint8Array, ...parts: Uint8Array[]): Buffer {
  return createHmac('sha256', key).update(Buffer.concat(parts)).digest();
}
