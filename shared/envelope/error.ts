/** The refusal of bytes that are not an envelope. */

export type EnvelopeErrorCode =
  | 'truncated'
  | 'magic'
  | 'version'
  | 'flags'
  | 'checksum'
  | 'frame'
  /** Sealed, and the reader has no key of a recipient. */
  | 'seal-key'
  /** Sealed, and it does not open under the key. */
  | 'seal'
  | 'compression'
  | 'cbor'
  | 'limit'
  | 'schema';

/** The bytes are not an envelope; `code` names the failed check. */
export class EnvelopeError extends Error {
  readonly code: EnvelopeErrorCode;

  constructor(code: EnvelopeErrorCode, message: string) {
    super(message);
    this.name = 'EnvelopeError';
    this.code = code;
  }
}
