/** What of the sessions was not kept, counted and logged at a bounded rate (I10). */
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';

/** The text is the log field and the metric label. */
export type DropReason =
  /** As much waits for the client, or for all, as may; the message is not queued for it. */
  | 'queue-full'
  /** As many retained messages as there may be; live subscribers got it. */
  | 'retained-full'
  /** What lay on the disk is no session state of ours. */
  | 'unreadable'
  /** The client was away for too long. */
  | 'session-expired';

const LOG_EVERY_MS = 10_000;

export class Dropped {
  readonly counts = new Map<DropReason, number>();
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #loggedMs = new Map<DropReason, number>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** `subject`: the client, or the topic. */
  add(reason: DropReason, subject: string): void {
    const total = (this.counts.get(reason) ?? 0) + 1;
    this.counts.set(reason, total);
    const nowMs = this.#clock.monoMs();
    if (nowMs - (this.#loggedMs.get(reason) ?? Number.NEGATIVE_INFINITY) < LOG_EVERY_MS) return;
    this.#loggedMs.set(reason, nowMs);
    this.#log.warn({ event: 'broker.session_dropped', reason, subject, total });
  }
}
