/**
 * The rule that frees rows (I3): a record leaves the buffer when as many different providers have accepted it
 * as its stream has copies. In a stream with `until: receipt`, acceptances are only noted, and the router's
 * receipt frees: with one copy every row that it covers, with more copies those that enough providers have
 * accepted too.
 *
 * An acceptance frees only rows in its own range. So an acceptance that was in flight while the policy raised
 * the copies frees no other row. After a policy lowered the copies, the caller reports the waiting ranges
 * again.
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { SeqRange } from '../../../shared/record.ts';

export interface Progress {
  /** Rows in the buffer. */
  pending: IntervalSet;
  /** By provider, its accepted rows: always a subset of `pending`, never an empty set. */
  accepted: Map<string, IntervalSet>;
}

/**
 * Records that `provider` accepted `range`, or, with null, that a receipt of the router covers it. Changes
 * `progress` in place. Returns the ranges that are now free, ascending; they are removed from `progress`.
 * Rows that are no longer pending are ignored, so late and repeated acceptances have no effect.
 */
export function accept(
  progress: Progress,
  provider: string | null,
  range: SeqRange,
  copies: number,
  untilReceipt = false,
): SeqRange[] {
  const { pending, accepted } = progress;
  const parts = pending.within(range.first, range.last);
  const free =
    provider === null
      ? received(accepted, parts, copies)
      : given(accepted, provider, parts, untilReceipt ? Number.POSITIVE_INFINITY : copies);
  for (const { first, last } of free) {
    pending.remove(first, last);
    for (const set of accepted.values()) set.remove(first, last);
  }
  for (const [name, set] of accepted) if (set.size === 0) accepted.delete(name);
  return free;
}

function received(accepted: Progress['accepted'], parts: SeqRange[], copies: number): SeqRange[] {
  return copies <= 1 ? parts : parts.flatMap((part) => heldBy(accepted.values(), part, copies));
}

function given(
  accepted: Progress['accepted'],
  provider: string,
  parts: SeqRange[],
  copies: number,
): SeqRange[] {
  return copies <= 1 ? parts : record(accepted, provider, parts, copies);
}

/** Notes `parts` as accepted by `provider`; returns the rows that `copies` providers now hold. */
function record(
  accepted: Map<string, IntervalSet>,
  provider: string,
  parts: SeqRange[],
  copies: number,
): SeqRange[] {
  const own = accepted.get(provider) ?? IntervalSet.empty();
  accepted.set(provider, own);
  for (const { first, last } of parts) own.add(first, last);
  return parts.flatMap((part) => heldBy(accepted.values(), part, copies));
}

/**
 * The parts of `range` that at least `copies` of the sets hold, by a sweep over the ends of their intervals.
 */
function heldBy(sets: Iterable<IntervalSet>, range: SeqRange, copies: number): SeqRange[] {
  const edges: Array<{ at: number; step: 1 | -1 }> = [];
  for (const set of sets) {
    for (const { first, last } of set.within(range.first, range.last)) {
      edges.push({ at: first, step: 1 }, { at: last + 1, step: -1 });
    }
  }
  // Ends sort before beginnings, so that two adjacent sets never count as both holding a row.
  edges.sort((a, b) => a.at - b.at || a.step - b.step);
  const held: SeqRange[] = [];
  let depth = 0;
  let since = 0;
  for (const { at, step } of edges) {
    depth += step;
    if (step === 1 && depth === copies) since = at;
    if (step === -1 && depth === copies - 1) held.push({ first: since, last: at - 1 });
  }
  return held;
}
