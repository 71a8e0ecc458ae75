/**
 * The two lanes of a stream: what just arrived, and what waited out an outage. After twelve days without a
 * network a user wants to see the plant as it is now, and still get the twelve days: live envelopes go first,
 * and while both lanes wait, the backlog gets at least its share of the envelopes.
 *
 * An envelope of the backlog is large: reading and packing it holds the store's thread and the main thread
 * for milliseconds. One after the other without a pause, they would be in the way of every step that a live
 * record takes, from its PUBLISH on. So the backlog rests after each, half as long as that took.
 *
 * Pure: no clock, no I/O (I11).
 */
import type { Envelope } from '../../../shared/envelope/envelope.ts';

export type Lane = Envelope['lane'];

/** Rest of the backlog lane, by the time that its last envelope took to read and pack. */
const REST_RATIO = 0.5;
/** What took longer waited for a slow disk, and left the threads alone. */
const REST_MS_MAX = 50;

export class LaneShare {
  readonly #backlogShare: number;
  /** What the backlog is owed, in envelopes. Bounded: a lane that had nothing to send saves nothing up. */
  #owed = 0;
  #restsUntilMs = 0;

  /** `backlogShare` in [0, 1]. */
  constructor(backlogShare: number) {
    this.#backlogShare = backlogShare;
  }

  /** The lanes that may have the next envelope, the first asked first. */
  order(nowMs: number): readonly Lane[] {
    if (nowMs < this.#restsUntilMs) return ['live'];
    return this.#owed > 0 ? ['backlog', 'live'] : ['live', 'backlog'];
  }

  /**
   * An envelope of that lane was read and packed between these times. Returns how long the backlog rests, 0:
   * not at all.
   */
  built(lane: Lane, startedMs: number, nowMs: number): number {
    if (lane === 'live') return 0;
    const restMs = Math.min((nowMs - startedMs) * REST_RATIO, REST_MS_MAX);
    this.#restsUntilMs = nowMs + restMs;
    return restMs;
  }

  /** An envelope of that lane is on its way. */
  took(lane: Lane): void {
    const owed = this.#owed + this.#backlogShare - (lane === 'backlog' ? 1 : 0);
    this.#owed = Math.max(-1, Math.min(1, owed));
  }
}
