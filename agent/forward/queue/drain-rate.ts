/**
 * How fast the backlog of a stream leaves, and so how long it will take. Smoothed over some ten seconds:
 * envelopes of the backlog are few and large, so single seconds say nothing.
 *
 * Pure: no clock, no I/O (I11).
 */

/** Weight of the newest second. */
const WEIGHT = 0.2;
/** Records per second below which nothing leaves: what is left of a rate some minutes after the last. */
const RATE_MIN = 0.01;

export class DrainRate {
  #perSecond = 0;
  #isFirst: boolean = true;

  /**
   * Once a second: records of the backlog delivered in it. The seconds before the first count for nothing.
   */
  second(records: number): void {
    if (this.#isFirst && records === 0) return;
    this.#perSecond = this.#isFirst ? records : this.#perSecond + WEIGHT * (records - this.#perSecond);
    this.#isFirst = this.#perSecond < RATE_MIN;
  }

  /** Milliseconds until `backlog` records have left; null when there are none, or none leave. */
  timeFor(backlog: number): number | null {
    if (backlog === 0 || this.#isFirst) return null;
    return (backlog / this.#perSecond) * 1000;
  }
}
