/** The content of a sealed envelope, encrypted with ChaCha20-Poly1305 (RFC 8439). */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { EnvelopeError } from '../envelope/error.ts';
import { type ContentOpener, NONCE_BYTES, TAG_BYTES } from '../envelope/seal.ts';

const CIPHER = 'chacha20-poly1305';
/** Where the frame's CRC stands, which is over the ciphertext. */
const CRC_FROM = 4;
const CRC_END = 8;

/** Nonce, ciphertext and tag. A nonce must never come twice under one key. */
export function sealContent(
  key: Uint8Array,
  nonce: Uint8Array,
  head: Uint8Array,
  content: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(authenticated(head), { plaintextLength: content.length });
  return Buffer.concat([nonce, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

/** Opens what {@link sealContent} sealed under the key. */
export function openerWith(key: Uint8Array): ContentOpener {
  return (head, sealed) => openContent(key, head, sealed);
}

/** Throws EnvelopeError where a byte of the content or of the head is another. */
function openContent(key: Uint8Array, head: Uint8Array, sealed: Uint8Array): Buffer {
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const ciphertext = sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(authenticated(head), { plaintextLength: ciphertext.length });
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const content = decipher.update(ciphertext);
  try {
    decipher.final();
  } catch {
    throw new EnvelopeError('seal', 'the seal does not open: altered, or under another key');
  }
  return content;
}

function authenticated(head: Uint8Array): Buffer {
  return Buffer.concat([head.subarray(0, CRC_FROM), head.subarray(CRC_END)]);
}
