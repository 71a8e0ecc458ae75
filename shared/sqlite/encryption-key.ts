import { z } from 'zod';

const KEY_BYTES = 32;

/** 32 random bytes as hex or base64, parsed to the bytes. */
export function encryptionKey(): z.ZodType<Uint8Array, string> {
  return z
    .string()
    .regex(
      /^(?:[0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=)$/,
      `expected ${KEY_BYTES} random bytes as 64 hex digits or base64: openssl rand -hex ${KEY_BYTES}`,
    )
    .transform((text) => new Uint8Array(Buffer.from(text, text.length === 2 * KEY_BYTES ? 'hex' : 'base64')));
}
