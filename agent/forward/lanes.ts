/**
 * The two lanes of a stream: what just arrived, and what waited out an outage. After twelve days without a network a user
 * wants to see the plant as it is now, and still get the twelve days: live envelopes go first, and while both lanes wait,
 * the backlog gets at least its share of the envelopes.
 *
 * Pure: no clock, no I/O (I11).
 */
import type { Envelope } from '../../shared/envelope/envelope.ts';

export type Lane = Envelope['lane'];

export class LaneShare {
  readonly #backlogShare: number;
  /** What the backlog is owed, in envelopes. Bounded: a lane that had nothing to send saves nothing up. */
  #owed = 0;

  /** `backlogShare` in [0, 1]. */
  constructor(backlogShare: number) {
    this.#backlogShare = backlogShare;
  }

  /** Which lane is asked first for the next envelope. */
  order(): readonly [Lane, Lane] {
    return this.#owed > 0 ? ['backlog', 'live'] : ['live', 'backlog'];
  }

  /** An envelope of that lane is on its way. */
  took(lane: Lane): void {
    const owed = this.#owed + this.#backlogShare - (lane === 'backlog' ? 1 : 0);
    this.#owed = Math.max(-1, Math.min(1, owed));
  }
}
