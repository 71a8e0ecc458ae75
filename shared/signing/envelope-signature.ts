/** The signature of an envelope of format version 2, as docs/reference/envelope.md specifies it. */
import { createHash, type KeyObject, webcrypto } from 'node:crypto';
import type { EnvelopeSigner, OpenedFrame } from '../envelope/frame.ts';
import { isSignatureOf, type Signer, signatureOf } from './signature.ts';

/** A digest of more bytes than this is made in libuv's pool, for well under the time of a verification. */
const BYTES_AT_ONCE_MAX = 64 * 1024;
const TYPE = 'application/vnd.headgate.envelope';

/** Signs envelopes with a gateway's key. */
export function envelopeSigner(signer: Signer): EnvelopeSigner {
  return {
    keyId: signer.keyId,
    sign: (head, content) => signatureOf(signer, TYPE, payloadOf(head, content)),
  };
}

/** Whether the key signed the frame. Runs in libuv's pool, apart from the hash of a small content. */
export async function isSignedBy(publicKey: KeyObject, { outer, content }: OpenedFrame): Promise<boolean> {
  if (outer === null) return false;
  const payload =
    content.length <= BYTES_AT_ONCE_MAX
      ? payloadOf(outer.head, content)
      : Buffer.concat([outer.head, Buffer.from(await webcrypto.subtle.digest('SHA-256', content))]);
  return isSignatureOf(publicKey, TYPE, payload, outer.signature);
}

/** Ed25519 reads what it signs twice; a digest of the content is made once. */
function payloadOf(head: Uint8Array, content: Uint8Array): Uint8Array {
  return Buffer.concat([head, createHash('sha256').update(content).digest()]);
}
