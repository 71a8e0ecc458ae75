/** Lists of public keys that sign, as PEM texts or a file with several of them. No message quotes a text. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { isSigningKey, keyIdOf } from './signature.ts';

/** Keys of one list (I10). */
export const PUBLIC_KEYS_MAX = 16;
/** Longer texts are no lists of keys (I10). */
export const PUBLIC_KEYS_BYTES_MAX = 64 * 1024;
const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]*-----END \1-----/g;

export type PublicKeys = ReadonlyMap<string, KeyObject>;

/**
 * The Ed25519 keys of a text with PEM blocks (SubjectPublicKeyInfo), by id. Text between the blocks is passed
 * over, as by openssl.
 */
export function readPublicKeys(text: string): { keys: PublicKeys } | { problem: string } {
  if (Buffer.byteLength(text) > PUBLIC_KEYS_BYTES_MAX) return { problem: 'too long for a list of keys' };
  const blocks = [...text.matchAll(BLOCK)];
  if (blocks.length === 0) return { problem: 'no public key in PEM' };
  if (blocks.length > PUBLIC_KEYS_MAX) return { problem: `more than ${PUBLIC_KEYS_MAX} keys` };
  const keys = new Map<string, KeyObject>();
  for (const [index, [block, label = '']] of blocks.entries()) {
    const key = label === 'PUBLIC KEY' ? keyOf(block) : null;
    if (key === null) return { problem: `block ${index + 1} is not an Ed25519 public key` };
    keys.set(keyIdOf(key), key);
  }
  return { keys };
}

function keyOf(block: string): KeyObject | null {
  try {
    const key = createPublicKey(block);
    return isSigningKey(key) ? key : null;
  } catch {
    return null; // The error of a parser may quote what it parses.
  }
}
