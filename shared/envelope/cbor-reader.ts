/**
 * The counterpart of CborWriter: reads the part of CBOR (RFC 8949) that an envelope needs, and nothing else,
 * straight from the bytes. It takes preferred serialization alone (section 4.1: shortest heads, definite
 * lengths), so that equal content has equal bytes. Every length is compared with its bound and with the bytes
 * that are left before anything of that length is made.
 */
import { EnvelopeError } from './error.ts';

const MAJOR_UNSIGNED = 0;
const MAJOR_NEGATIVE = 1;
const MAJOR_BYTES = 2;
const MAJOR_TEXT = 3;
const MAJOR_ARRAY = 4;
const MAJOR_OTHER = 7;
const NULL = 0xf6;
const UINT32 = 0x1_0000_0000;
/** A decoder of UTF-8 puts it in place of ill-formed bytes. */
const REPLACEMENT = '\ufffd';

/** The elements of a list: `bytes` and `items` are the least that one has, itself counted. */
interface Elements {
  most: number;
  bytes: number;
  items: number;
}

export class CborReader {
  readonly #bytes: Buffer;
  #itemsLeft: number;
  #at = 0;
  #major = 0;
  #argument = 0;

  /** `itemsMax`: most items, each array counted. */
  constructor(bytes: Uint8Array, itemsMax: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#itemsLeft = itemsMax - 1;
  }

  /** Where the bytes read last ended. */
  get position(): number {
    return this.#at;
  }

  /** Reads the head of an array of `length` items. */
  tuple(field: string, length: number): void {
    if (this.#array(field) !== length) throw this.schema(field, `a list of ${length}`);
  }

  /** Reads the head of an array of any length; returns the length. */
  list(field: string, { most, bytes, items }: Elements): number {
    const length = this.#array(field);
    if (length > most) throw new EnvelopeError('limit', `${field}: more than ${most}`);
    if (length * (items - 1) > this.#itemsLeft) throw tooManyItems(field);
    if (length * bytes > this.#bytes.length - this.#at) throw this.#ends(field);
    return length;
  }

  /** A safe integer, at least `least`. */
  integer(field: string, least: number): number {
    this.#head(field);
    const value =
      this.#major === MAJOR_UNSIGNED
        ? this.#argument
        : this.#major === MAJOR_NEGATIVE
          ? -1 - this.#argument
          : Number.NaN;
    if (!Number.isSafeInteger(value) || value < least)
      throw this.schema(field, `a whole number not below ${least}`);
    return value;
  }

  /** An index into `size` values. */
  index(field: string, size: number): number {
    this.#head(field);
    if (this.#major !== MAJOR_UNSIGNED || this.#argument >= size)
      throw this.schema(field, `an index below ${size}`);
    return this.#argument;
  }

  /** Well-formed UTF-8 of at most `bytesMax` bytes; null for a longer text, which is not read. */
  text(field: string, bytesMax: number): string | null {
    this.#head(field);
    if (this.#major !== MAJOR_TEXT) throw this.schema(field, 'a text');
    const length = this.#argument;
    if (length > bytesMax) return null;
    const from = this.#skip(field, length);
    const value = this.#bytes.toString('utf8', from, this.#at);
    // Only then the bytes may be ill-formed.
    if (value.includes(REPLACEMENT) && !Buffer.from(value).equals(this.#bytes.subarray(from, this.#at)))
      throw new EnvelopeError('cbor', `${field}: ill-formed UTF-8`);
    return value;
  }

  /** Passes over a byte string of at most `bytesMax` bytes, which ends at `position`; returns its length. */
  bytes(field: string, bytesMax: number): number {
    this.#head(field);
    if (this.#major !== MAJOR_BYTES) throw this.schema(field, 'bytes');
    const length = this.#argument;
    if (length > bytesMax) throw new EnvelopeError('limit', `${field}: more than ${bytesMax} bytes`);
    this.#skip(field, length);
    return length;
  }

  /** Whether the next item is null, which is then read. */
  isNull(): boolean {
    if (this.#bytes[this.#at] !== NULL) return false;
    this.#at += 1;
    return true;
  }

  /** Throws when bytes follow. */
  end(): void {
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) throw new EnvelopeError('cbor', `${rest} bytes after the body`);
  }

  /** The error for an item that is not as the format says. */
  schema(field: string, expected: string): EnvelopeError {
    return new EnvelopeError('schema', `${field}: expected ${expected}, before byte ${this.#at}`);
  }

  #array(field: string): number {
    this.#head(field);
    if (this.#major !== MAJOR_ARRAY) throw this.schema(field, 'a list');
    if (this.#argument > this.#itemsLeft) throw tooManyItems(field);
    this.#itemsLeft -= this.#argument;
    return this.#argument;
  }

  /** Passes over `length` bytes; returns where they begin. */
  #skip(field: string, length: number): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw this.#ends(field);
    this.#at = from + length;
    return from;
  }

  /** Reads a head into `#major` and `#argument`; an argument above 2^53 is inexact. */
  #head(field: string): void {
    const first = this.#bytes[this.#at];
    if (first === undefined) throw this.#ends(field);
    this.#at += 1;
    this.#major = first >> 5;
    const information = first & 31;
    this.#argument = information < 24 ? information : this.#longArgument(field, information);
  }

  #longArgument(field: string, information: number): number {
    if (information > 27) throw new EnvelopeError('cbor', `${field}: an indefinite or reserved length`);
    const bytes = this.#bytes;
    const size = 2 ** (information - 24);
    const at = this.#skip(field, size);
    let argument: number;
    let least: number;
    if (size === 1) {
      argument = bytes[at] ?? 0;
      least = 24;
    } else if (size === 2) {
      argument = bytes.readUInt16BE(at);
      least = 0x100;
    } else if (size === 4) {
      argument = bytes.readUInt32BE(at);
      least = 0x1_0000;
    } else {
      argument = bytes.readUInt32BE(at) * UINT32 + bytes.readUInt32BE(at + 4);
      least = UINT32;
    }
    if (argument < least && this.#major !== MAJOR_OTHER)
      throw new EnvelopeError('cbor', `${field}: not in the shortest form`);
    return argument;
  }

  #ends(field: string): EnvelopeError {
    return new EnvelopeError('cbor', `${field}: the body ends too early`);
  }
}

function tooManyItems(field: string): EnvelopeError {
  return new EnvelopeError('limit', `${field}: too many items`);
}
