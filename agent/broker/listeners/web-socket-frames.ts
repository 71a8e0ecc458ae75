/**
 * The frames of a WebSocket connection, counted from their heads (RFC 6455 section 5.2): ws tells of
 * messages, and not of the fragments that they came in. A malformed frame ends the connection in ws, so
 * nothing is checked here.
 */

/** A frame with less content is small: its cost is that of a frame, and not of its bytes. */
const SMALL_BYTES = 1024;
const HEAD_BYTES_MAX = 10;
const MASK_BYTES = 4;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

export class FrameCounter {
  /** Of the frame whose head is not whole yet. */
  readonly #head = Buffer.alloc(HEAD_BYTES_MAX);
  #headBytes = 0;
  /** Mask and content of the present frame that are still to come. */
  #left = 0;

  /** How many small frames begin in these bytes, which follow those of the last call. */
  take(chunk: Uint8Array): number {
    let small = 0;
    let at = 0;
    while (at < chunk.length) {
      const passed = Math.min(this.#left, chunk.length - at);
      this.#left -= passed;
      at += passed;
      if (at === chunk.length) break;
      this.#head[this.#headBytes] = chunk[at] ?? 0;
      this.#headBytes += 1;
      at += 1;
      if (this.#headBytes < 2 || this.#headBytes < headBytesOf(this.#head)) continue;
      const bytes = contentBytesOf(this.#head);
      if (bytes < SMALL_BYTES) small += 1;
      this.#left = bytes + (this.#head.readUInt8(1) & 0x80 ? MASK_BYTES : 0);
      this.#headBytes = 0;
    }
    return small;
  }
}

/** Without the mask. */
function headBytesOf(head: Buffer): number {
  const length = head.readUInt8(1) & 0x7f;
  if (length === LENGTH_64) return 10;
  return length === LENGTH_16 ? 4 : 2;
}

function contentBytesOf(head: Buffer): number {
  const length = head.readUInt8(1) & 0x7f;
  if (length === LENGTH_64) return Number(head.readBigUInt64BE(2));
  return length === LENGTH_16 ? head.readUInt16BE(2) : length;
}
