/** Compares the interval sets with their records: `headgate ledger verify`, for every engine. */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { SeqRange, StreamKey } from '../../shared/record.ts';
import { ENVELOPE_BYTES } from './rules/retention.ts';
import { EMPTY_STREAM, type Withdrawn } from './rules/rules.ts';
import type { LedgerVerification, StreamProblem } from './types.ts';

const PROBLEMS_MAX = 100;
const RANGES_MAX = 100;
/** Most shares that are listed, and counted, as problems. */
const SHARES_MAX = 1000;

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

/**
 * The shares whose bytes are not those of their counted arrivals. `arrivals`, and `records` of them, have the
 * columns `owner` (the gateway) and `name` (of the stream). `rowBytes`: the bytes of a row of `records`,
 * which may be several records.
 */
export function sharesQuery(parts: { records: string; arrivals: string; rowBytes: string }): string {
  return `SELECT gateway, stream FROM (
      SELECT gateway, stream, bytes FROM share WHERE gateway <> ''
      UNION ALL SELECT owner, name, -${ENVELOPE_BYTES} FROM ${parts.arrivals}
      UNION ALL SELECT owner, name, -(${parts.rowBytes}) FROM ${parts.records}) counted
    GROUP BY gateway, stream HAVING sum(bytes) <> 0 ORDER BY gateway, stream LIMIT ${SHARES_MAX}`;
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
      const ranges = [...set.ranges()].slice(0, RANGES_MAX);
      this.#tell({ gateway, epoch, stream, problem, ranges });
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

  /** The shares that are not the bytes of their records. */
  shares(differing: readonly { gateway: string; stream: string }[]): void {
    for (const { gateway, stream } of differing) {
      this.#tell({ gateway, epoch: '', stream, problem: 'share-differs', ranges: [] });
    }
  }

  result(): LedgerVerification {
    return this.#found;
  }

  #tell(problem: StreamProblem): void {
    this.#found.problemCount += 1;
    if (this.#found.problems.length < PROBLEMS_MAX) this.#found.problems.push(problem);
  }
}
