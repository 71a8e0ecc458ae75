/**
 * Device passwords at rest: scrypt (RFC 7914) with N=2^14, r=8, p=1 and a random salt of 16 bytes, written as
 * `$scrypt$ln=14,r=8,p=1$<salt>$<hash>`, both parts in base64 without padding (the PHC string format). One
 * computation takes about 50 ms and 16 MiB. Other cost parameters are refused: the file must not choose how
 * long a login lasts (I10).
 */
import { scrypt, timingSafeEqual } from 'node:crypto';
import type { Entropy } from '../../../shared/entropy.ts';

const COST = { N: 2 ** 14, r: 8, p: 1 };
const HEAD = '$scrypt$ln=14,r=8,p=1$';
const SALT_BYTES = 16;
const HASH_BYTES = 32;

/** The output of {@link hashPassword}. */
export const PASSWORD_HASH_PATTERN = /^\$scrypt\$ln=14,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/;

/** Shortest and longest password that a device may be given, in UTF-8 bytes. */
export const PASSWORD_BYTES = { min: 8, max: 256 };

/** The text to store for a password. */
export async function hashPassword(password: string, entropy: Entropy): Promise<string> {
  const salt = entropy.bytes(SALT_BYTES);
  return stored(salt, await derive(Buffer.from(password), salt));
}

/** The hash of a random password. The login of an unknown device is compared with it. */
export function unknownPassword(entropy: Entropy): string {
  return stored(entropy.bytes(SALT_BYTES), entropy.bytes(HASH_BYTES));
}

/** Whether `hash` is the hash of `password`. Always computes the hash, and compares in constant time. */
export async function verifyPassword(password: Uint8Array, hash: string): Promise<boolean> {
  const [salt = '', expected = ''] = hash.slice(HEAD.length).split('$');
  const computed = await derive(password, Buffer.from(salt, 'base64'));
  const wanted = Buffer.from(expected, 'base64');
  return wanted.length === computed.length && timingSafeEqual(wanted, computed);
}

/** A password of 144 random bits, in 24 characters that need no quoting. */
export function generatePassword(entropy: Entropy): string {
  return Buffer.from(entropy.bytes(18)).toString('base64url');
}

function stored(salt: Uint8Array, hash: Uint8Array): string {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replaceAll('=', '');
  return `${HEAD}${text(salt)}$${text(hash)}`;
}

/** Runs in libuv's thread pool, so it does not block the event loop. */
function derive(password: Uint8Array, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_BYTES, COST, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
