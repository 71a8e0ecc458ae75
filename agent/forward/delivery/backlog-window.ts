/**
 * The backlog's congestion window at one provider: most bytes under way, and the size of a backlog envelope.
 *
 * The backlog is bulk that must yield to live records on a shared uplink, the problem that LEDBAT solves (RFC
 * 6817). So the window follows the delay that it causes, not loss: it grows while acknowledgements take
 * little longer than the shortest recent latency, shrinks when they take TARGET_MS longer, and is halved by a
 * deadline or a throttle. AIMD would fill the uplink's queue until a loss, here a missed deadline, and live
 * envelopes would wait in that queue. Vegas keeps one to three *envelopes* queued, which at 32 KB/s is nine
 * seconds. Two things differ from the RFC. Steps are in proportion to the window, because paths of 10 KB/s
 * and of 10 MB/s must both be found within seconds. And every half minute one small envelope is sent alone to
 * measure the shortest latency again, as BBR does (ProbeRTT): otherwise the window's own queue would count as
 * distance.
 *
 * The window also sizes the envelopes, a quarter of it each. With fewer envelopes in a window, their own
 * transmission time would count as a queue. An uplink that cannot carry 96 KB within a deadline gets smaller
 * envelopes.
 *
 * Pure: no clock, no I/O (I11).
 */

/** Most backlog envelopes under way; the rest of the sender's room is for live envelopes (I10). */
const ENVELOPES_MAX = 6;
/** Largest backlog envelope: bounds the time of one encoding. */
const ENVELOPE_BYTES_MAX = 96 * 1024;
/** Smallest backlog envelope: one metering unit with its properties. */
const ENVELOPE_BYTES_MIN = 4000;
const WINDOW_BYTES_MAX = ENVELOPES_MAX * ENVELOPE_BYTES_MAX;
const WINDOW_BYTES_FIRST = 32 * 1024;
/**
 * The delay that the backlog may add to live envelopes. RFC 6817 allows 100 ms, but the latency of cloud
 * acknowledgements varies by more.
 */
const TARGET_MS = 200;
/** Without delay, the window doubles in two round trips. */
const GAIN = 0.5;
const ENVELOPES_PER_WINDOW = 4;
const BASE_AGE_MAX_MS = 30_000;

export class BacklogWindow {
  #bytes = WINDOW_BYTES_FIRST;
  #inFlight = 0;
  #inFlightBytes = 0;
  /** The shortest recent latency: the latency without a queue. */
  #base: { latencyMs: number; atMs: number } | null = null;
  /** Whether the envelope under way is alone, to measure the base. */
  #isMeasuring: boolean = false;
  #cutMs = Number.NEGATIVE_INFINITY;

  /** Most bytes under way. */
  get bytes(): number {
    return Math.round(this.#bytes);
  }

  /** Size of the next envelope. */
  envelopeBytes(nowMs: number): number {
    if (this.#mustMeasure(nowMs)) return ENVELOPE_BYTES_MIN;
    const share = this.#bytes / ENVELOPES_PER_WINDOW;
    return Math.round(Math.min(ENVELOPE_BYTES_MAX, Math.max(ENVELOPE_BYTES_MIN, share)));
  }

  /**
   * Reserves room for an envelope of `bytes`; false without room. The first envelope always gets room, even
   * when it is larger than the window.
   */
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

  /** The envelope has ended, or never began. */
  leave(bytes: number): void {
    this.#inFlight -= 1;
    this.#inFlightBytes -= bytes;
  }

  /** An accepted try of either lane: its latency may lower the base. */
  saw(latencyMs: number, nowMs: number): void {
    if (!this.#base || latencyMs <= this.#base.latencyMs) this.#base = { latencyMs, atMs: nowMs };
  }

  /** An envelope of the backlog was accepted; call before {@link leave}. */
  accepted(bytes: number, latencyMs: number, nowMs: number): void {
    if (this.#isMeasuring) this.#base = { latencyMs, atMs: nowMs };
    this.#isMeasuring = false;
    const queuedMs = latencyMs - (this.#base?.latencyMs ?? latencyMs);
    const offTarget = Math.max(-1, Math.min(1, (TARGET_MS - queuedMs) / TARGET_MS));
    // An unused window does not show how much the path carries.
    const isUsed = this.#inFlightBytes >= this.#bytes / 2;
    if (offTarget < 0 || isUsed) this.#resize(this.#bytes + GAIN * offTarget * bytes);
  }

  /**
   * An envelope missed its deadline or was throttled. Envelopes that began before the last cut belong to the
   * same queue and do not cut again.
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
