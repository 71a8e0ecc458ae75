/**
 * Ranges that were given up, as a short list: adjacent ranges with the same reason are one gap (I10). Pure.
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { Gap, SeqRange } from '../../../shared/record.ts';

/** The gaps with one more, ascending. */
export function withGap(gaps: readonly Gap[], gap: Gap): Gap[] {
  const { reason } = gap;
  const same = IntervalSet.of([...gaps.filter((other) => other.reason === reason), gap]);
  const others = gaps.filter((other) => other.reason !== reason);
  const merged = [...same.ranges()].map((range) => ({ ...range, reason }));
  return [...others, ...merged].sort((a, b) => a.first - b.first);
}

/** The rest of the gaps after `first..last` was delivered. */
export function withoutRange(gaps: readonly Gap[], { first, last }: SeqRange): Gap[] {
  return gaps.flatMap((gap) => {
    const rest = IntervalSet.of([gap]);
    rest.remove(first, last);
    return [...rest.ranges()].map((range) => ({ ...range, reason: gap.reason }));
  });
}
