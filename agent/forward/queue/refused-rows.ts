/**
 * Rows of one queue that providers refuse permanently. A refused envelope is halved, and its halves again,
 * until a row stands alone: that row is unfit for the provider, and the others go on.
 *
 * Pure: no clock, no I/O (I11).
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { GapReason, SeqRange } from '../../../shared/record.ts';

export type RefusedFor = Extract<GapReason, 'too-large' | 'rejected'>;

/** Bound on the borders of halves (I10): searching more would take longer than sending an envelope. */
const BORDERS_MAX = 1000;

export class RefusedRows {
  /** Rows that begin a run of their own. */
  readonly #borders = new Set<number>();
  readonly #unfit = new Map<string, IntervalSet>();
  /** The unfit rows that are refused for another reason than size. */
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

  /** The end of a run that begins at `first`: `last`, or the row before the next border. */
  runEnd(first: number, last: number): number {
    let end = last;
    for (const border of this.#borders) if (border > first && border <= end) end = border - 1;
    return end;
  }

  /** The providers that never take `first`, and the last row, at most `last`, for which the same holds. */
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

/** The last row, from `first` to at most `last`, up to which all rows are in the set, or none is. */
export function cut(set: IntervalSet, first: number, last: number): number {
  if (set.has(first)) return Math.min(last, set.firstGap(first) - 1);
  const [next] = set.within(first, last);
  return next ? Math.min(last, next.first - 1) : last;
}
