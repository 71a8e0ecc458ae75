/**
 * Room for bytes that are looked at once and copied: what is taken anew for each, and lies outside of V8's
 * heap, is given back late and touched for the first time again and again.
 */

/** More than this is not kept (I10). */
const KEPT_BYTES_MAX = 512 * 1024;

export class Scratch {
  #kept = Buffer.allocUnsafeSlow(0);

  /** At least so many bytes, with anything in them: the caller's until the next call. */
  room(bytes: number): Buffer {
    if (bytes > KEPT_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes);
    if (bytes > this.#kept.length) this.#kept = Buffer.allocUnsafeSlow(bytes);
    return this.#kept;
  }
}
