/**
 * How much of the backlog may be under way at one provider, in bytes, and how large an envelope of it should
 * be.
 *
 * The backlog is bulk that must yield to what happens now, on an uplink that both share: the problem that
 * LEDBAT solves (RFC 6817). So the window follows the delay that it causes, not loss: it grows while
 * acknowledgements take little longer than the shortest lately, shrinks when they take TARGET_MS longer, and
 * is halved by a deadline or a throttle. AIMD would fill the uplink's queue until something is lost, which
 * here is a deadline, and everything live would wait in that queue; Vegas keeps one to three *envelopes*
 * queued, which at 32 KB/s is nine seconds. Two things differ from the RFC. Steps are in proportion to the
 * window, as a path of 10 KB/s and one of 10 MB/s must both be found within seconds. And the shortest latency
 * is measured again every half minute by one small envelope sent alone, as BBR does (ProbeRTT): else the
 * window's own queue would pass for distance.
 *
 * The window also sizes the envelopes, a quarter of it each: fewer in a window would take their own
 * transmission for a queue, and an uplink that cannot carry 96 KB within a deadline gets smaller ones.
 *
 * Pure: no clock, no I/O (I11).
 */

/** Envelopes of the backlog under way; the rest of the sender's room is for live envelopes (I10). */
const ENVELOPES_MAX = 6;
/** Backlog envelopes grow to this: bounds the time of one encoding. */
const ENVELOPE_BYTES_MAX = 96 * 1024;
/** And shrink to this: one metering unit with its properties. */
const ENVELOPE_BYTES_MIN = 4000;
const WINDOW_BYTES_MAX = ENVELOPES_MAX * ENVELOPE_BYTES_MAX;
const WINDOW_BYTES_FIRST = 32 * 1024;
/**
 * The delay that the backlog may add to what is live. RFC 6817 allows 100 ms; acknowledgements of clouds vary
 * by more.
 */
const TARGET_MS = 200;
/** At no delay the window doubles in two round trips. */
const GAIN = 0.5;
const ENVELOPES_PER_WINDOW = 4;
const BASE_AGE_MAX_MS = 30_000;

export class BacklogWindow {
  #bytes = WINDOW_BYTES_FIRST;
  #inFlight = 0;
  #inFlightBytes = 0;
  /** The shortest latency lately: what there is without a queue. */
  #base: { latencyMs: number; atMs: number } | null = null;
  /** The one under way is alone, to measure the base. */
  #isMeasuring: boolean = false;
  #cutMs = Number.NEGATIVE_INFINITY;

  /** Most bytes under way. */
  get bytes(): number {
    return Math.round(this.#bytes);
  }

  /** What the next envelope should be like. */
  envelopeBytes(nowMs: number): number {
    if (this.#mustMeasure(nowMs)) return ENVELOPE_BYTES_MIN;
    const share = this.#bytes / ENVELOPES_PER_WINDOW;
    return Math.round(Math.min(ENVELOPE_BYTES_MAX, Math.max(ENVELOPE_BYTES_MIN, share)));
  }

  /** Whether an envelope of `bytes` may begin; it counts from then on. One may always, whatever its size. */
  enter(bytes: number, nowMs: number): boolean {
    const mustMeasure = this.#mustMeasure(nowMs);
    const isAlone = this.#inFlight === 0;
    const fits = this.#inFlight < ENVELOPES_MAX && this.#inFlightBytes + bytes <= this.#bytes;
    if (!isAlone && (mustMeasure || !fits)) return false;
    this.#isMeasuring = mustMeasure;
    this.#inFlight += 1;
    this.#inFlightBytes += bytes;
    return true;
  }

  /** It ended, or never began. */
  leave(bytes: number): void {
    this.#inFlight -= 1;
    this.#inFlightBytes -= bytes;
  }

  /** Any try was accepted, of either lane: shows how near the provider is. */
  saw(latencyMs: number, nowMs: number): void {
    if (!this.#base || latencyMs <= this.#base.latencyMs) this.#base = { latencyMs, atMs: nowMs };
  }

  /** An envelope of the backlog was accepted; told before {@link leave}. */
  accepted(bytes: number, latencyMs: number, nowMs: number): void {
    if (this.#isMeasuring) this.#base = { latencyMs, atMs: nowMs };
    this.#isMeasuring = false;
    const queuedMs = latencyMs - (this.#base?.latencyMs ?? latencyMs);
    const offTarget = Math.max(-1, Math.min(1, (TARGET_MS - queuedMs) / TARGET_MS));
    // What a window can do is not shown by one that is not used.
    const isUsed = this.#inFlightBytes >= this.#bytes / 2;
    if (offTarget < 0 || isUsed) this.#resize(this.#bytes + GAIN * offTarget * bytes);
  }

  /**
   * One was not answered in time, or told to slow down. Those that began before the last cut tell of the same
   * queue.
   */
  missed(startedMs: number, nowMs: number): void {
    this.#isMeasuring = false;
    if (startedMs < this.#cutMs) return;
    this.#cutMs = nowMs;
    this.#resize(this.#bytes / 2);
  }

  #resize(bytes: number): void {
    this.#bytes = Math.max(ENVELOPE_BYTES_MIN, Math.min(WINDOW_BYTES_MAX, bytes));
  }

  #mustMeasure(nowMs: number): boolean {
    return this.#base === null || nowMs - this.#base.atMs > BASE_AGE_MAX_MS;
  }
}
