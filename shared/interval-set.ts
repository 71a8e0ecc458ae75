/**
 * A set of positive integers as sorted, disjoint, non-adjacent inclusive intervals: the agent's acknowledged
 * set, the router's seen set and receipts use it. Memory is O(holes), never O(records).
 *
 * `bounds` is flat: [first0, last0, first1, last1, …]. Adding at the end, the usual case, is O(1); all other
 * changes are a binary search and one splice.
 */
import type { SeqRange } from './record.ts';

export class IntervalSet {
  #bounds: number[];
  #size: number;

  private constructor(bounds: number[]) {
    this.#bounds = bounds;
    this.#size = 0;
    for (let i = 0; i < bounds.length; i += 2) this.#size += at(bounds, i + 1) - at(bounds, i) + 1;
  }

  static empty(): IntervalSet {
    return new IntervalSet([]);
  }

  /**
   * Builds a set from ranges in any order, overlapping or not. Throws RangeError on a range that is not `1 ≤
   * first ≤ last`.
   */
  static of(ranges: Iterable<SeqRange>): IntervalSet {
    const set = IntervalSet.empty();
    for (const { first, last } of ranges) set.add(first, last);
    return set;
  }

  /** The number of integers in the set. */
  get size(): number {
    return this.#size;
  }

  /** The number of intervals. */
  get intervals(): number {
    return this.#bounds.length / 2;
  }

  /** The highest member, 0 when empty. */
  get max(): number {
    return this.#bounds.at(-1) ?? 0;
  }

  /** The lowest member, 0 when empty. */
  get min(): number {
    return this.#bounds[0] ?? 0;
  }

  /** Adds `first..last`; returns how many of them were new. */
  add(first: number, last: number = first): number {
    checkRange(first, last);
    const bounds = this.#bounds;
    const end = bounds.length;
    if (end === 0 || first > at(bounds, end - 1) + 1) {
      bounds.push(first, last);
      this.#size += last - first + 1;
      return last - first + 1;
    }
    if (first === at(bounds, end - 1) + 1) {
      bounds[end - 1] = last;
      this.#size += last - first + 1;
      return last - first + 1;
    }
    // Intervals from `from` up to (not including) `to` touch or overlap first..last and are merged into one.
    const from = this.#firstEndingAtOrAfter(first - 1);
    let to = from;
    let low = first;
    let high = last;
    let covered = 0;
    while (to < end && at(bounds, to) <= last + 1) {
      const start = at(bounds, to);
      const stop = at(bounds, to + 1);
      covered += Math.max(0, Math.min(stop, last) - Math.max(start, first) + 1);
      low = Math.min(low, start);
      high = Math.max(high, stop);
      to += 2;
    }
    if (to - from === 2) {
      bounds[from] = low;
      bounds[from + 1] = high;
    } else {
      bounds.splice(from, to - from, low, high);
    }
    const added = last - first + 1 - covered;
    this.#size += added;
    return added;
  }

  /** Removes `first..last`; returns how many of them were in the set. */
  remove(first: number, last: number = first): number {
    checkRange(first, last);
    const bounds = this.#bounds;
    const from = this.#firstEndingAtOrAfter(first);
    const rest: number[] = [];
    let to = from;
    let removed = 0;
    while (to < bounds.length && at(bounds, to) <= last) {
      const start = at(bounds, to);
      const stop = at(bounds, to + 1);
      removed += Math.min(stop, last) - Math.max(start, first) + 1;
      if (start < first) rest.push(start, first - 1);
      if (stop > last) rest.push(last + 1, stop);
      to += 2;
    }
    if (to > from) bounds.splice(from, to - from, ...rest);
    this.#size -= removed;
    return removed;
  }

  has(value: number): boolean {
    const i = this.#firstEndingAtOrAfter(value);
    return i < this.#bounds.length && at(this.#bounds, i) <= value;
  }

  /** Whether every integer of `first..last` is in the set. */
  contains(first: number, last: number): boolean {
    const i = this.#firstEndingAtOrAfter(first);
    return i < this.#bounds.length && at(this.#bounds, i) <= first && at(this.#bounds, i + 1) >= last;
  }

  /** The lowest integer ≥ `from` that is not in the set. `firstGap() - 1` is "complete to". */
  firstGap(from = 1): number {
    const i = this.#firstEndingAtOrAfter(from);
    if (i >= this.#bounds.length || at(this.#bounds, i) > from) return from;
    return at(this.#bounds, i + 1) + 1;
  }

  /** The parts of `first..last` that are in the set, ascending. */
  within(first: number, last: number): SeqRange[] {
    const parts: SeqRange[] = [];
    for (let i = this.#firstEndingAtOrAfter(first); i < this.#bounds.length; i += 2) {
      const start = at(this.#bounds, i);
      if (start > last) break;
      parts.push({ first: Math.max(start, first), last: Math.min(at(this.#bounds, i + 1), last) });
    }
    return parts;
  }

  /** The parts of `first..last` that are not in the set, ascending, at most `limit` of them. */
  missing(first: number, last: number, limit = Number.POSITIVE_INFINITY): SeqRange[] {
    const parts: SeqRange[] = [];
    let next = first;
    for (let i = this.#firstEndingAtOrAfter(first); next <= last && parts.length < limit; i += 2) {
      const start = i < this.#bounds.length ? at(this.#bounds, i) : last + 1;
      if (start > next) parts.push({ first: next, last: Math.min(start - 1, last) });
      if (i >= this.#bounds.length) break;
      next = at(this.#bounds, i + 1) + 1;
    }
    return parts;
  }

  /** A new set with the members of both. */
  union(other: IntervalSet): IntervalSet {
    const [small, large] = this.intervals < other.intervals ? [this, other] : [other, this];
    const result = large.clone();
    for (const { first, last } of small.ranges()) result.add(first, last);
    return result;
  }

  /** A new set with the members of this one that are not in `other`. Linear in the intervals of both. */
  difference(other: IntervalSet): IntervalSet {
    const bounds: number[] = [];
    for (const { first, last } of this.ranges()) {
      for (const part of other.missing(first, last)) bounds.push(part.first, part.last);
    }
    return new IntervalSet(bounds);
  }

  equals(other: IntervalSet): boolean {
    return (
      this.#bounds.length === other.#bounds.length &&
      this.#bounds.every((bound, i) => bound === other.#bounds[i])
    );
  }

  clone(): IntervalSet {
    const copy = IntervalSet.empty();
    copy.#bounds = this.#bounds.slice();
    copy.#size = this.#size;
    return copy;
  }

  *ranges(): Generator<SeqRange> {
    for (let i = 0; i < this.#bounds.length; i += 2) {
      yield { first: at(this.#bounds, i), last: at(this.#bounds, i + 1) };
    }
  }

  /**
   * Compact form: for each interval the distance from the previous end and the length - 1, both as unsigned
   * LEB128. A set without holes takes 2–6 bytes.
   */
  encode(): Uint8Array {
    const bytes: number[] = [];
    let previous = 0;
    for (const { first, last } of this.ranges()) {
      pushVarint(bytes, first - previous);
      pushVarint(bytes, last - first);
      previous = last;
    }
    return Uint8Array.from(bytes);
  }

  /**
   * Decodes the output of {@link encode}. Throws RangeError on truncated, overlapping, unmerged or oversized
   * input.
   */
  static decode(bytes: Uint8Array): IntervalSet {
    const bounds: number[] = [];
    let position = 0;
    let previous = 0;
    const varint = (): number => {
      let value = 0;
      let scale = 1;
      for (;;) {
        const byte = bytes[position++];
        if (byte === undefined) throw new RangeError('interval set: truncated');
        value += (byte & 0x7f) * scale;
        if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('interval set: number too large');
        if (byte < 0x80) return value;
        scale *= 128;
      }
    };
    while (position < bytes.length) {
      const first = previous + varint();
      const last = first + varint();
      const merged = bounds.length > 0 && first <= previous + 1;
      if (first < 1 || merged || last > Number.MAX_SAFE_INTEGER) {
        throw new RangeError('interval set: intervals are not ascending and apart');
      }
      bounds.push(first, last);
      previous = last;
    }
    return new IntervalSet(bounds);
  }

  /**
   * Index into `bounds` of the first interval whose last is ≥ `value`; `bounds.length` when there is none.
   */
  #firstEndingAtOrAfter(value: number): number {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (at(bounds, middle * 2 + 1) < value) low = middle + 1;
      else high = middle;
    }
    return low * 2;
  }
}

/** An element that must exist; NaN would show a broken invariant in every comparison. */
function at(bounds: readonly number[], index: number): number {
  return bounds[index] ?? Number.NaN;
}

function checkRange(first: number, last: number): void {
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || first < 1 || last < first) {
    throw new RangeError(`not a range of positive integers: ${first}..${last}`);
  }
}

function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}
