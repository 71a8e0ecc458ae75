/**
 * Rows of one queue that providers refuse for good. An envelope that is refused is halved, and its halves
 * are, until a row stands alone: then that row is unfit for the provider, and the others go on.
 *
 * Pure: no clock, no I/O (I11).
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { GapReason, SeqRange } from '../../../shared/record.ts';

export type RefusedFor = Extract<GapReason, 'too-large' | 'rejected'>;

/** Borders of halves at a time (I10): more would take longer to look at than an envelope to send. */
const BORDERS_MAX = 1000;

export class RefusedRows {
  /** Rows that begin a run of their own. */
  readonly #borders = new Set<number>();
  readonly #unfit = new Map<string, IntervalSet>();
  /** Of the unfit, those that are refused for more than their size. */
  readonly #rejected = IntervalSet.empty();

  halve({ first, last }: SeqRange): void {
    const middle = first + Math.ceil((last - first + 1) / 2);
    if (this.#borders.size + 3 > BORDERS_MAX) return;
    for (const border of [first, middle, last + 1]) this.#borders.add(border);
  }

  unfit(provider: string, seq: number, why: RefusedFor): void {
    const rows = this.#unfit.get(provider) ?? IntervalSet.empty();
    this.#unfit.set(provider, rows);
    rows.add(seq, seq);
    if (why === 'rejected') this.#rejected.add(seq, seq);
  }

  reasonOf(seq: number): RefusedFor {
    return this.#rejected.has(seq) ? 'rejected' : 'too-large';
  }

  /** The last row of a run from `first`, `last` at most, by the borders. */
  runEnd(first: number, last: number): number {
    let end = last;
    for (const border of this.#borders) if (border > first && border <= end) end = border - 1;
    return end;
  }

  /** The providers that never take `first`, and how far, at most to `last`, that is so. */
  by(first: number, last: number): { unfit: Set<string>; last: number } {
    const unfit = new Set<string>();
    let end = last;
    for (const [provider, rows] of this.#unfit) {
      end = cut(rows, first, end);
      if (rows.has(first)) unfit.add(provider);
    }
    return { unfit, last: end };
  }

  /** The rows are settled or given up. */
  forget({ first, last }: SeqRange): void {
    for (const border of this.#borders)
      if (border >= first && border <= last + 1) this.#borders.delete(border);
    for (const [provider, rows] of this.#unfit) {
      rows.remove(first, last);
      if (rows.size === 0) this.#unfit.delete(provider);
    }
    this.#rejected.remove(first, last);
  }
}

/** How far from `first`, at most to `last`, all are in the set, or none is. */
export function cut(set: IntervalSet, first: number, last: number): number {
  if (set.has(first)) return Math.min(last, set.firstGap(first) - 1);
  const [next] = set.within(first, last);
  return next ? Math.min(last, next.first - 1) : last;
}
