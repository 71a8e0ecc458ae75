/** The refusal of bytes that are not an envelope. */

export type EnvelopeErrorCode =
  | 'truncated'
  | 'magic'
  | 'version'
  | 'flags'
  | 'checksum'
  | 'frame'
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
