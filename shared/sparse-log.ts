/**
 * Warnings with an external cause (a hostile gateway, a full disk) that may occur thousands of times a second
 * (I10).
 */
import type { Clock } from './clock.ts';

const PERIOD_MS = 1000;

export interface WarningLog {
  warn(fields: Record<string, unknown>): void;
}

type Fields = Record<string, unknown>;

/** At most one line per key and period; the next line has the number of suppressed ones. */
export class SparseLog {
  readonly #log: WarningLog;
  readonly #clock: Clock;
  readonly #periodMs: number;
  readonly #last = new Map<string, { atMs: number; suppressed: number }>();

  /** `periodMs`: a second by default. */
  constructor(options: { log: WarningLog; clock: Clock; periodMs?: number }) {
    this.#log = options.log;
    this.#clock = options.clock;
    this.#periodMs = options.periodMs ?? PERIOD_MS;
  }

  /**
   * `fields` may be made when the line is written, from how many were left out before it. `key`: by default
   * the event; a reason, where each has lines of its own. There must be few of them (I10).
   */
  warn(event: string, fields: Fields | ((suppressed: number) => Fields), key: string = event): void {
    const now = this.#clock.monoMs();
    const last = this.#last.get(key);
    if (last && now - last.atMs < this.#periodMs) {
      last.suppressed += 1;
      return;
    }
    this.#last.set(key, { atMs: now, suppressed: 0 });
    const suppressed = last?.suppressed ?? 0;
    if (typeof fields === 'function') this.#log.warn({ event, ...fields(suppressed) });
    else this.#log.warn({ event, ...fields, ...(suppressed > 0 ? { suppressed } : {}) });
  }
}
