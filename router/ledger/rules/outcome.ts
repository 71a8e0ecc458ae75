/**
 * The result of a commit for one envelope, range by range. An envelope is not always one range: a record in
 * another envelope leaves a hole (docs/reference/envelope.md), and a repeated envelope may be new in part. So
 * the result lists ranges of one outcome each.
 */
import type { SeqRange, TelemetryRecord } from '../../../shared/record.ts';
import type { CommitResult, RangeOutcome } from '../types.ts';
import type { Absorption } from './rules.ts';

/** The judged records of an envelope whose ids came before; ascending, in the envelope's order. */
export interface Judged {
  duplicates: readonly TelemetryRecord[];
  inConflict: readonly TelemetryRecord[];
  causes: CommitResult['causes'];
}

/** The result of an entry that changes no stream. */
export function nothingCommitted(): CommitResult {
  return { new: 0, duplicate: 0, causes: {}, conflict: 0, gap: 0, ranges: [] };
}

/**
 * The result of one envelope. For an envelope that is new as a whole and without holes, the ranges cost one
 * comparison.
 */
export function committed({ fresh, gaps, refused }: Absorption, judged: Judged): CommitResult {
  if (refused !== null) return { ...nothingCommitted(), refused };
  const { duplicates, inConflict, causes } = judged;
  return {
    new: fresh.length,
    duplicate: duplicates.length,
    causes,
    conflict: inConflict.length,
    gap: gaps.reduce((sum, { first, last }) => sum + last - first + 1, 0),
    ranges: ordered([
      ...runsOf(fresh).map((run) => ({ ...run, outcome: 'new' as const })),
      ...runsOf(duplicates).map((run) => ({ ...run, outcome: 'duplicate' as const })),
      ...runsOf(inConflict).map((run) => ({ ...run, outcome: 'conflict' as const })),
      ...gaps.map(({ first, last }) => ({ first, last, outcome: 'gap' as const })),
    ]),
  };
}

/** The ranges with the given outcome in {@link CommitResult.ranges}. */
export function rangesOf({ ranges }: CommitResult, outcome: RangeOutcome['outcome']): SeqRange[] {
  return ranges.filter((range) => range.outcome === outcome).map(({ first, last }) => ({ first, last }));
}

function runsOf(records: readonly TelemetryRecord[]): SeqRange[] {
  const first = records[0]?.seq;
  const last = records.at(-1)?.seq;
  if (first === undefined || last === undefined) return [];
  if (last - first + 1 === records.length) return [{ first, last }];
  const runs: SeqRange[] = [];
  for (const { seq } of records) {
    const before = runs.at(-1);
    if (before && before.last + 1 === seq) before.last = seq;
    else runs.push({ first: seq, last: seq });
  }
  return runs;
}

/** Ascending; adjacent ranges of one outcome (two gaps with two reasons) become one. */
function ordered(ranges: RangeOutcome[]): RangeOutcome[] {
  if (ranges.length < 2) return ranges;
  const joined: RangeOutcome[] = [];
  for (const range of ranges.sort((a, b) => a.first - b.first)) {
    const before = joined.at(-1);
    if (before?.outcome === range.outcome && before.last + 1 === range.first) before.last = range.last;
    else joined.push(range);
  }
  return joined;
}
