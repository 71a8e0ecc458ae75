/**
 * A reused buffer for bytes that are read once and copied. A new buffer per use is outside of V8's heap, is
 * freed late, and costs page faults each time.
 */

/** A larger buffer is not kept (I10). */
const KEPT_BYTES_MAX = 512 * 1024;

export class Scratch {
  #kept = Buffer.allocUnsafeSlow(0);

  /** A buffer of at least `bytes` with arbitrary content, valid until the next call. */
  room(bytes: number): Buffer {
    if (bytes > KEPT_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes);
    if (bytes > this.#kept.length) this.#kept = Buffer.allocUnsafeSlow(bytes);
    return this.#kept;
  }
}
