/**
 * Warnings whose cause sits outside (a hostile gateway, a full disk) and may come thousands of times a second
 * (I10).
 */
import type { Clock } from './clock.ts';

const PERIOD_MS = 1000;

export interface WarningLog {
  warn(fields: Record<string, unknown>): void;
}

/** At most one line per event name and second; the next one says how many were left out. */
export class SparseLog {
  readonly #log: WarningLog;
  readonly #clock: Clock;
  readonly #last = new Map<string, { atMs: number; suppressed: number }>();

  constructor(options: { log: WarningLog; clock: Clock }) {
    this.#log = options.log;
    this.#clock = options.clock;
  }

  warn(event: string, fields: Record<string, unknown>): void {
    const now = this.#clock.monoMs();
    const last = this.#last.get(event);
    if (last && now - last.atMs < PERIOD_MS) {
      last.suppressed += 1;
      return;
    }
    this.#last.set(event, { atMs: now, suppressed: 0 });
    this.#log.warn({ event, ...fields, ...(last?.suppressed ? { suppressed: last.suppressed } : {}) });
  }
}
