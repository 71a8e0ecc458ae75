/**
 * CBOR decoding that keeps every text as encoded. cborg decodes texts with a TextDecoder, which drops a
 * leading U+FEFF as a byte order mark.
 */
import { type DecodeOptions, decode, Tokenizer } from 'cborg';

const TEXT = 3;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
/** Length of a head by its additional information (RFC 8949, 3 "Specification of the CBOR Encoding"). */
const HEAD_BYTES: ReadonlyMap<number, number> = new Map([
  [24, 2],
  [25, 3],
  [26, 5],
  [27, 9],
]);

class ExactTokenizer extends Tokenizer {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, options: DecodeOptions) {
    super(bytes, options);
    this.#bytes = bytes;
  }

  override next(): ReturnType<Tokenizer['next']> {
    const start = this.pos();
    const token = super.next();
    const head = this.#bytes[start] ?? 0;
    if (head >> 5 === TEXT && this.#hasMark(start + (HEAD_BYTES.get(head & 31) ?? 1), this.pos()))
      token.value = `\ufeff${String(token.value)}`;
    return token;
  }

  #hasMark(from: number, end: number): boolean {
    return (
      end - from >= BYTE_ORDER_MARK.length &&
      BYTE_ORDER_MARK.every((byte, i) => this.#bytes[from + i] === byte)
    );
  }
}

/** Like cborg's `decode`. */
export function decodeCbor(bytes: Uint8Array, options: DecodeOptions = {}): unknown {
  return decode(bytes, { ...options, tokenizer: new ExactTokenizer(bytes, options) });
}
