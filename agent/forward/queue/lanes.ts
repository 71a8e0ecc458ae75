/**
 * The two lanes of a stream: live records, and the backlog of an outage. After twelve days without a network,
 * a user wants to see the current state of the plant first, and then the twelve days. So live envelopes go
 * first, and while both lanes wait, the backlog gets at least its share of the envelopes.
 *
 * A backlog envelope is large: reading and packing it occupies the store's thread and the main thread for
 * milliseconds. Without a pause between them, backlog envelopes would delay every step of a live record, from
 * its PUBLISH on. So after each one the backlog rests half as long as its reading and packing took.
 *
 * Pure: no clock, no I/O (I11).
 */
import type { Envelope } from '../../../shared/envelope/envelope.ts';

export type Lane = Envelope['lane'];

/** Rest of the backlog lane, relative to the time that its last envelope took to read and pack. */
const REST_RATIO = 0.5;
/** Longest rest: a longer build waited for a slow disk and did not occupy the threads. */
const REST_MS_MAX = 50;

export class LaneShare {
  /** In [0, 1]; another policy changes it. */
  backlogShare: number;
  /** Envelopes owed to the backlog. Bounded: a lane without records saves up nothing. */
  #owed = 0;
  #restsUntilMs = 0;

  constructor(backlogShare: number) {
    this.backlogShare = backlogShare;
  }

  /** The lanes that may have the next envelope, in order of preference. */
  order(nowMs: number): readonly Lane[] {
    if (nowMs < this.#restsUntilMs) return ['live'];
    return this.#owed > 0 ? ['backlog', 'live'] : ['live', 'backlog'];
  }

  /**
   * An envelope of the lane was read and packed between these times. Returns the rest of the backlog in
   * milliseconds; 0: none.
   */
  built(lane: Lane, startedMs: number, nowMs: number): number {
    if (lane === 'live') return 0;
    const restMs = Math.min((nowMs - startedMs) * REST_RATIO, REST_MS_MAX);
    this.#restsUntilMs = nowMs + restMs;
    return restMs;
  }

  /** An envelope of the lane was sent. */
  took(lane: Lane): void {
    const owed = this.#owed + this.backlogShare - (lane === 'backlog' ? 1 : 0);
    this.#owed = Math.max(-1, Math.min(1, owed));
  }
}
