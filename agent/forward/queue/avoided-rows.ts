/**
 * Rows that are to go to other providers for a while: a provider acknowledged and did not deliver them, or
 * refused them in a way that may not last.
 *
 * Pure: no clock, no I/O (I11).
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { SeqRange } from '../../../shared/record.ts';
import { cut } from './refused-rows.ts';

/** Bound (I10). Beyond it the newest rows share the time of earlier ones. */
const ENTRIES_MAX = 64;

interface Entry {
  provider: string;
  rows: IntervalSet;
  untilMs: number;
}

export class AvoidedRows {
  #entries: Entry[] = [];

  add(provider: string, { first, last }: SeqRange, untilMs: number): void {
    const own = this.#entries.filter((entry) => entry.provider === provider);
    const same = own.find((entry) => entry.untilMs === untilMs);
    const shared = this.#entries.length >= ENTRIES_MAX ? own.at(-1) : undefined;
    const entry = same ?? shared ?? { provider, rows: IntervalSet.empty(), untilMs };
    if (!same && !shared) this.#entries.push(entry);
    entry.rows.add(first, last);
  }

  /** Rows whose time is over may go to any provider. */
  expire(nowMs: number): void {
    if (this.#entries.some(({ untilMs }) => nowMs >= untilMs))
      this.#entries = this.#entries.filter(({ untilMs }) => nowMs < untilMs);
  }

  /** The providers to avoid for `first`, and the last row, at most `last`, for which the same holds. */
  by(first: number, last: number): { avoid: Set<string>; last: number } {
    const avoid = new Set<string>();
    let end = last;
    for (const { provider, rows } of this.#entries) {
      end = cut(rows, first, end);
      if (rows.has(first)) avoid.add(provider);
    }
    return { avoid, last: end };
  }

  /** The rows are settled or given up. */
  forget({ first, last }: SeqRange): void {
    for (const { rows } of this.#entries) rows.remove(first, last);
    this.#entries = this.#entries.filter(({ rows }) => rows.size > 0);
  }
}
