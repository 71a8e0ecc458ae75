/** Whether a destination owes an answer, and when it last gave one. */
import type { Clock } from '../../shared/clock.ts';

export class Answers {
  readonly #clock: Clock;
  /** Since when it owes one; null while it owes none. */
  #askedMs: number | null = null;
  /** When it last answered successfully. */
  #provenMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** For how long it has owed an answer. */
  silentMs(): number {
    return this.#askedMs === null ? 0 : this.#clock.monoMs() - this.#askedMs;
  }

  /** For how long it has not answered. */
  unprovenMs(): number {
    return this.#clock.monoMs() - this.#provenMs;
  }

  /** The result of `answer`; until it arrives, the destination owes an answer. */
  async to<Answer>(answer: Promise<Answer> | undefined): Promise<Answer | undefined> {
    if (answer === undefined) return undefined;
    this.#askedMs = this.#clock.monoMs();
    try {
      const result = await answer;
      this.#provenMs = this.#clock.monoMs();
      return result;
    } catch (error) {
      this.#provenMs = Number.NEGATIVE_INFINITY;
      throw error;
    } finally {
      this.#askedMs = null;
    }
  }
}
