/** Session items that were dropped, counted and logged at a bounded rate (I10). */
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import { SparseLog } from '../../../shared/sparse-log.ts';

/** The text is both log field and metric label. */
export type DropReason =
  /** The queue of the client, of its device, or of all clients together, is full: it is not queued. */
  | 'queue-full'
  /** The retained messages of the device, or of all, are at a limit; live subscribers got the message. */
  | 'retained-full'
  /** The item on disk is not valid session state. */
  | 'unreadable'
  /** The device was removed and added again, or the id was an anonymous client's before. */
  | 'owner-changed'
  /** The client was away for longer than the session expiry. */
  | 'session-expired';

const LOG_EVERY_MS = 10_000;

export class Dropped {
  readonly counts = new Map<DropReason, number>();
  readonly #sparse: SparseLog;

  constructor(clock: Clock, log: Logger) {
    this.#sparse = new SparseLog({ log, clock, periodMs: LOG_EVERY_MS });
  }

  /** `subject`: the client id, or the topic. */
  add(reason: DropReason, subject: string): void {
    const total = (this.counts.get(reason) ?? 0) + 1;
    this.counts.set(reason, total);
    this.#sparse.warn('broker.session_dropped', { reason, subject, total }, reason);
  }
}
