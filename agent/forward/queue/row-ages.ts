/**
 * When the rows of one (epoch, stream) became durable, in monotonic milliseconds of their epoch's boot. Rows
 * are numbered in the order of their commits, so a few marks tell of millions: a row is as old as the last
 * mark at or before it.
 *
 * Pure: no clock, no I/O (I11).
 */

/** From `first` on, rows are at most as old as this. */
interface Mark {
  first: number;
  atMs: number;
}

/** Marks closer to each other than this part of what they span count as one, as old as the older. */
const SPAN_PARTS = 128;
/** Then they are thinned out (I10). */
const MARKS_MAX = 512;

export class RowAges {
  /** Ascending. */
  #marks: Mark[] = [];

  /** Rows from `first` on were committed then, behind all that are known. */
  committed(first: number, atMs: number): void {
    const last = this.#marks.at(-1);
    if (last && atMs - last.atMs <= this.#resolutionMs(atMs)) return;
    this.#marks.push({ first, atMs });
    if (this.#marks.length > MARKS_MAX) this.#thin(atMs);
  }

  /** The row was found in the buffer, with its time. */
  found(seq: number, atMs: number): void {
    this.#marks = [
      ...this.#marks.filter(({ first }) => first < seq),
      { first: seq, atMs },
      ...this.#marks.filter(({ first }) => first > seq),
    ];
  }

  /** Null when nothing is known of rows so old. */
  atMs(seq: number): number | null {
    return this.#marks.findLast(({ first }) => first <= seq)?.atMs ?? null;
  }

  /** Whether the time is that of this row, and not only of one before it. */
  isExact(seq: number): boolean {
    return this.#marks.some(({ first }) => first === seq);
  }

  /** Nobody asks for rows before `seq` any more. */
  forgetBefore(seq: number): void {
    const kept = this.#marks.findLastIndex(({ first }) => first <= seq);
    if (kept > 0) this.#marks.splice(0, kept);
  }

  #resolutionMs(nowMs: number): number {
    return (nowMs - (this.#marks[0]?.atMs ?? nowMs)) / SPAN_PARTS;
  }

  #thin(nowMs: number): void {
    const apartMs = this.#resolutionMs(nowMs);
    let keptMs = Number.NEGATIVE_INFINITY;
    this.#marks = this.#marks.filter(({ atMs }) => {
      if (atMs - keptMs < apartMs) return false;
      keptMs = atMs;
      return true;
    });
  }
}
