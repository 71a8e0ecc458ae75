/**
 * The recipients' part of a frame of version 3, as docs/reference/envelope.md specifies it: the content key,
 * wrapped for each. shared/sealing/ wraps it, and encrypts under it.
 */
import { EnvelopeError } from './error.ts';

export const CONTENT_KEY_BYTES = 32;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
/** A reader refuses more: each is looked up, and the first known one is unwrapped. */
export const RECIPIENTS_MAX = 4;
const KEY_ID_BYTES = 8;
/** An X25519 public key. */
const ENC_BYTES = 32;
const WRAPPED_BYTES = CONTENT_KEY_BYTES + 16;
const RECIPIENT_BYTES = KEY_ID_BYTES + ENC_BYTES + WRAPPED_BYTES;

/** Bytes that a seal for `recipients` adds to an envelope. */
export function sealBytes(recipients: number): number {
  return 1 + recipients * RECIPIENT_BYTES + NONCE_BYTES + TAG_BYTES;
}

/** The content key for one recipient (RFC 9180, base mode). */
export interface WrappedKey {
  /** The recipient's key: 16 hex digits. */
  keyId: string;
  /** The encapsulated key. */
  enc: Uint8Array;
  wrapped: Uint8Array;
}

/** Encrypts the contents of frames. */
export interface EnvelopeSealer {
  /** The content key for each recipient, 1 to {@link RECIPIENTS_MAX}. */
  readonly recipients: readonly WrappedKey[];
  /** `head`: the frame up to the content; its CRC counts as absent. Returns nonce, ciphertext and tag. */
  seal(head: Uint8Array, content: Uint8Array): Uint8Array;
}

/** Decrypts a content that {@link EnvelopeSealer} encrypted; throws EnvelopeError where it does not open. */
export type ContentOpener = (head: Uint8Array, sealed: Uint8Array) => Uint8Array;

/** The number of recipients, then their keys. */
export function writeRecipients(recipients: readonly WrappedKey[]): Buffer {
  if (recipients.length < 1 || recipients.length > RECIPIENTS_MAX)
    throw new RangeError(`${recipients.length} recipients`);
  const parts = recipients.flatMap(({ keyId, enc, wrapped }) => [Buffer.from(keyId, 'hex'), enc, wrapped]);
  return Buffer.concat([Buffer.of(recipients.length), ...parts]);
}

/** Reads what {@link writeRecipients} wrote at `from`. Throws EnvelopeError for any other bytes. */
export function readRecipients(
  unsigned: Buffer,
  from: number,
): { recipients: WrappedKey[]; contentAt: number } {
  const count = unsigned.readUInt8(from);
  if (count < 1 || count > RECIPIENTS_MAX) throw new EnvelopeError('frame', `seal: ${count} recipients`);
  const contentAt = from + 1 + count * RECIPIENT_BYTES;
  if (contentAt + NONCE_BYTES + TAG_BYTES >= unsigned.length)
    throw new EnvelopeError('truncated', 'the frame ends before its content');
  const recipients = Array.from({ length: count }, (_, i) => {
    const at = from + 1 + i * RECIPIENT_BYTES;
    const encAt = at + KEY_ID_BYTES;
    return {
      keyId: unsigned.toString('hex', at, encAt),
      enc: unsigned.subarray(encAt, encAt + ENC_BYTES),
      wrapped: unsigned.subarray(encAt + ENC_BYTES, at + RECIPIENT_BYTES),
    };
  });
  return { recipients, contentAt };
}
