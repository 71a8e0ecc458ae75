/**
 * The delivery rate of a stream's backlog, and the time to drain it. Smoothed over about ten seconds, because
 * backlog envelopes are few and large.
 *
 * Pure: no clock, no I/O (I11).
 */

/** Weight of the newest second. */
const WEIGHT = 0.2;
/** Records per second that count as none: the smoothed rate some minutes after the last delivery. */
const RATE_MIN = 0.01;

export class DrainRate {
  #perSecond = 0;
  #isFirst: boolean = true;

  /**
   * Call once a second with the backlog records delivered in it. Seconds before the first delivery are
   * ignored.
   */
  second(records: number): void {
    if (this.#isFirst && records === 0) return;
    this.#perSecond = this.#isFirst ? records : this.#perSecond + WEIGHT * (records - this.#perSecond);
    this.#isFirst = this.#perSecond < RATE_MIN;
  }

  /** Milliseconds until `backlog` records are delivered; null without a backlog or without deliveries. */
  timeFor(backlog: number): number | null {
    if (backlog === 0 || this.#isFirst) return null;
    return (backlog / this.#perSecond) * 1000;
  }
}
