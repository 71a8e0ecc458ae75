/** Compares the interval sets with their records: `headgate ledger verify`, for every engine. */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { SeqRange, StreamKey } from '../../shared/record.ts';
import { EMPTY_STREAM, type Withdrawn } from './rules/rules.ts';
import type { LedgerVerification, StreamProblem } from './types.ts';

const PROBLEMS_MAX = 100;
const RANGES_MAX = 100;

/**
 * Ranges of consecutive seqs in one stream as `first`, `last`: rows with the same difference of seq and rank
 * are consecutive. Copies of an id are ranked apart, so an id held twice is in two ranges.
 */
export function runsQuery(where: string): string {
  return `SELECT min(seq) AS first, max(seq) AS last FROM (
      SELECT seq, copy, seq - row_number() OVER (PARTITION BY copy ORDER BY seq) AS run FROM (
        SELECT seq, row_number() OVER (PARTITION BY seq) AS copy FROM record WHERE ${where}) copies) numbered
    GROUP BY copy, run ORDER BY 1`;
}

/** Collects the problems of the streams' comparisons, bounded (I10). */
export class Verification {
  readonly #found: LedgerVerification = { streams: 0, records: 0, problems: [], problemCount: 0 };

  /** `runs`: the result of {@link runsQuery} for the stream. */
  compare(
    { gateway, epoch, stream }: StreamKey,
    seen: IntervalSet,
    runs: Iterable<SeqRange>,
    withdrawn: Withdrawn = EMPTY_STREAM.withdrawn,
  ): void {
    const held = IntervalSet.empty();
    const twice = IntervalSet.empty();
    for (const { first, last } of runs) {
      this.#found.records += last - first + 1;
      for (const range of held.within(first, last)) twice.add(range.first, range.last);
      held.add(first, last);
    }
    this.#found.streams += 1;
    const tell = (problem: StreamProblem['problem'], set: IntervalSet): void => {
      if (set.size === 0) return;
      this.#found.problemCount += 1;
      if (this.#found.problems.length === PROBLEMS_MAX) return;
      const ranges = [...set.ranges()].slice(0, RANGES_MAX);
      this.#found.problems.push({ gateway, epoch, stream, problem, ranges });
    };
    tell('record-not-seen', held.difference(seen));
    const { retention, erasure, quarantine } = withdrawn;
    const gone = retention.union(erasure).union(quarantine);
    tell('seen-without-record', seen.difference(held).difference(gone));
    // Ids are marked shortly before their records are removed by age, and for an erased id another device's
    // version may stand.
    tell('held-though-withdrawn', held.difference(held.difference(quarantine)));
    tell('held-twice', twice);
  }

  result(): LedgerVerification {
    return this.#found;
  }
}
