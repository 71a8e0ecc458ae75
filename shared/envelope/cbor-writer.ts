/**
 * The part of CBOR (RFC 8949) that an envelope needs, in preferred serialization: the same bytes as cborg's,
 * written straight into one buffer. An envelope holds thousands of small numbers; a token object for each
 * would cost more than the compression.
 */

const MAJOR_UNSIGNED = 0;
const MAJOR_NEGATIVE = 1;
const MAJOR_BYTES = 2;
const MAJOR_TEXT = 3;
const MAJOR_ARRAY = 4;
const NULL = 0xf6;
/**
 * Smaller arguments are in the head byte itself; for larger ones its low five bits give the number of bytes
 * that follow.
 */
const IN_HEAD = 24;

/** The longest head: major type and an argument of eight bytes. */
export const HEAD_BYTES_MAX = 9;

export class CborWriter {
  readonly #buffer: Buffer;
  #at = 0;

  /** `buffer` must have room for everything that will be written. */
  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  /** Throws RangeError on a number that is not a safe integer. */
  integer(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`not a safe integer: ${value}`);
    if (value >= 0) this.#head(MAJOR_UNSIGNED, value);
    else this.#head(MAJOR_NEGATIVE, -1 - value);
  }

  text(value: string): void {
    this.#head(MAJOR_TEXT, Buffer.byteLength(value));
    this.#at += this.#buffer.write(value, this.#at);
  }

  bytes(value: Uint8Array): void {
    this.#head(MAJOR_BYTES, value.byteLength);
    this.#buffer.set(value, this.#at);
    this.#at += value.byteLength;
  }

  /** The head of an array with `length` items. */
  array(length: number): void {
    this.#head(MAJOR_ARRAY, length);
  }

  null(): void {
    this.#buffer[this.#at++] = NULL;
  }

  written(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  #head(major: number, argument: number): void {
    const buffer = this.#buffer;
    const type = major * 32;
    if (argument < IN_HEAD) {
      buffer[this.#at++] = type + argument;
    } else if (argument < 0x100) {
      buffer[this.#at++] = type + 24;
      buffer[this.#at++] = argument;
    } else if (argument < 0x1_0000) {
      buffer[this.#at++] = type + 25;
      this.#at = buffer.writeUInt16BE(argument, this.#at);
    } else if (argument < 0x1_0000_0000) {
      buffer[this.#at++] = type + 26;
      this.#at = buffer.writeUInt32BE(argument, this.#at);
    } else {
      buffer[this.#at++] = type + 27;
      this.#at = buffer.writeUInt32BE(Math.floor(argument / 0x1_0000_0000), this.#at);
      this.#at = buffer.writeUInt32BE(argument % 0x1_0000_0000, this.#at);
    }
  }
}
