/** One content key of a gateway for its recipients: made once, for the envelopes of an hour. */
import type { KeyObject } from 'node:crypto';
import type { Entropy } from '../entropy.ts';
import { CONTENT_KEY_BYTES, type EnvelopeSealer, NONCE_BYTES } from '../envelope/seal.ts';
import { sealContent } from './content.ts';
import { wrapContentKey } from './content-key.ts';

/**
 * A sealer with a new content key for these X25519 public keys. The key is nowhere but in its memory. Nonces
 * are random: one key may have 2^32 of them (RFC 8439 has 96 bits), more than an hour of envelopes.
 */
export async function openSession(
  publicKeys: readonly KeyObject[],
  { gateway, entropy }: { gateway: string; entropy: Entropy },
): Promise<EnvelopeSealer> {
  const key = entropy.bytes(CONTENT_KEY_BYTES);
  const recipients = await Promise.all(
    publicKeys.map((publicKey) => wrapContentKey(key, { publicKey, gateway, entropy })),
  );
  return {
    recipients,
    seal: (head, content) => sealContent(key, entropy.bytes(NONCE_BYTES), head, content),
  };
}
