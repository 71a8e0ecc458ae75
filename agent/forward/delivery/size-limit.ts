/**
 * The largest envelope that a provider takes, as far as its answers show: a service in between, a quota or a
 * broker's option may allow less than the provider documents. The limit is searched by halves between the
 * largest envelope that was accepted and the smallest that was refused.
 *
 * A provider that can only end the connection gives no reason. Two cuts above all that it has accepted, and
 * an acceptance between them, make the size the likely reason, for an hour.
 *
 * Pure: no clock, no I/O (I11).
 */

/** A provider that refuses less than this as too large is faulty; its limit is not learned. */
const LIMIT_BYTES_MIN = 4000;
/** Within this share of the largest accepted envelope the search is over. */
const CLOSE = 1.1;
/** A bad link may have cut the connections. */
const CUTS_MEMORY_MS = 3_600_000;

export class SizeLimit {
  #acceptedBytes = 0;
  #refusedBytes = Number.POSITIVE_INFINITY;
  #cutBytes = Number.POSITIVE_INFINITY;
  #cutMs = 0;
  /** The first cut above all accepted sizes, with the number of acceptances until then. */
  #firstCut: { bytes: number; accepted: number } | null = null;

  accepted(bytes: number): void {
    this.#acceptedBytes = Math.max(this.#acceptedBytes, bytes);
    if (bytes >= this.#refusedBytes) this.#refusedBytes = Number.POSITIVE_INFINITY;
    if (bytes >= this.#cutBytes) this.#cutBytes = Number.POSITIVE_INFINITY;
    if (this.#firstCut && bytes >= this.#firstCut.bytes) this.#firstCut = null;
  }

  /** The provider said that an envelope of this size is too large. */
  refused(bytes: number): void {
    if (bytes > LIMIT_BYTES_MIN) this.#refusedBytes = Math.min(this.#refusedBytes, bytes);
  }

  /**
   * The connection ended with an envelope of this size under way, after so many acceptances. Returns whether
   * the size is the likely reason.
   */
  cut(bytes: number, accepted: number, nowMs: number): boolean {
    if (!this.isLargest(bytes)) return false;
    const isAgain = this.#firstCut !== null && accepted > this.#firstCut.accepted;
    if (!this.isDoubtful(bytes, nowMs) && !isAgain) {
      this.#firstCut ??= { bytes, accepted };
      return false;
    }
    this.#cutBytes = Math.min(this.#cutBytes, bytes);
    this.#cutMs = nowMs;
    return true;
  }

  /** Whether the provider may end its connection for an envelope of this size. */
  isDoubtful(bytes: number, nowMs: number): boolean {
    return this.#isSearching(nowMs) && bytes > this.#acceptedBytes;
  }

  /** Whether no envelope of this size was ever accepted. */
  isLargest(bytes: number): boolean {
    return bytes > LIMIT_BYTES_MIN && bytes > this.#acceptedBytes;
  }

  /** Largest envelope that the provider has not refused as too large. */
  get maxBytes(): number {
    return this.#refusedBytes - 1;
  }

  /** Size to pack several records to. */
  aimBytes(nowMs: number): number {
    if (!this.#isSearching(nowMs)) this.#cutBytes = Number.POSITIVE_INFINITY;
    const above = Math.min(this.#refusedBytes, this.#cutBytes);
    if (above === Number.POSITIVE_INFINITY) return above;
    const known = Math.max(this.#acceptedBytes, LIMIT_BYTES_MIN);
    return above <= known * CLOSE ? Math.min(known, above - 1) : Math.floor((known + above) / 2);
  }

  #isSearching(nowMs: number): boolean {
    return this.#cutBytes < Number.POSITIVE_INFINITY && nowMs - this.#cutMs < CUTS_MEMORY_MS;
  }
}
