/** The state of a (gateway, epoch, stream), built from its commits. */
import { IntervalSet } from '../../../../shared/interval-set.ts';
import type { GapReason, StreamKey } from '../../../../shared/record.ts';
import { givenUpOf, isNothing } from '../../rules/given-up.ts';
import type { Proof } from '../../rules/proof.ts';
import { EMPTY_STREAM, reinstated, type StreamState, withdraw } from '../../rules/rules.ts';
import { decodeState, encodeState } from '../../sql/stream-columns.ts';
import { type Aside, asideFrom, type CommitEntry, stoodOf } from './commit-format.ts';
import type { Folding } from './fold.ts';

export interface StreamItem extends StreamKey {
  /** Order of creation: grows with each new stream of the ledger. */
  made: number;
  state: StreamState;
  /** Versions kept aside, oldest first. */
  aside: readonly Aside[];
  /**
   * Contains all ids whose first record was replaced: only for these ids the pages must tell which record
   * stands.
   */
  replaced: IntervalSet;
}

export interface StreamChange {
  entry: CommitEntry;
  /** The stream's `made`, if this is its first change. */
  made: number;
}

/** Bounds per stream, so that a cloned gateway does not make its item grow for ever (I10). */
const ASIDE_MAX = 10_000;
const REPLACED_INTERVALS_MAX = 1000;

type Row = [
  gateway: string,
  epoch: string,
  stream: string,
  made: number,
  seen: Uint8Array,
  quota: Uint8Array,
  age: Uint8Array,
  corruption: Uint8Array,
  sealedAt: number | null,
  duplicates: number,
  conflicts: number,
  aside: number[],
  /** Absent in data from before conflict policies. */
  stood?: number[],
  withdrawn?: Uint8Array | null,
  replaced?: Uint8Array,
  /** Absent in data from before these reasons. */
  gapOther?: Uint8Array | null,
  /** Absent in data from before it was noted which ids are proven. */
  proof?: Uint8Array | null,
];

export const streamFolding: Folding<StreamItem, StreamChange> = {
  apply(item, { entry, made }) {
    const { gateway, epoch, stream } = entry;
    const before = item ?? { gateway, epoch, stream, made, state: EMPTY_STREAM, aside: [] };
    const replaced = item?.replaced ?? IntervalSet.empty();
    return {
      ...before,
      state: changed(before.state, entry),
      aside: asideAfter(before.aside, entry),
      replaced: entry.replaces ? bounded(replaced.union(entry.fresh)) : replaced,
    };
  },
  encode({ gateway, epoch, stream, made, state, aside, replaced }): Row {
    const columns = encodeState(state);
    const { seen, gapQuota, gapAge, gapCorruption, sealedAt, duplicates, conflicts } = columns;
    return [
      gateway,
      epoch,
      stream,
      made,
      seen,
      gapQuota,
      gapAge,
      gapCorruption,
      sealedAt,
      duplicates,
      conflicts,
      aside.flatMap(({ seq, message }) => [seq, message]),
      stoodOf(aside),
      columns.withdrawn,
      replaced.encode(),
      columns.gapOther,
      columns.proof,
    ];
  },
  decode(value) {
    const row = value as Row;
    return {
      gateway: row[0],
      epoch: row[1],
      stream: row[2],
      made: row[3],
      state: decodeState({
        seen: row[4],
        gapQuota: row[5],
        gapAge: row[6],
        gapCorruption: row[7],
        sealedAt: row[8],
        duplicates: row[9],
        conflicts: row[10],
        withdrawn: row[13] ?? null,
        gapOther: row[15] ?? null,
        proof: row[16] ?? null,
      }),
      aside: asideFrom(row[11], row[12]),
      replaced: row[14] ? IntervalSet.decode(row[14]) : IntervalSet.empty(),
    };
  },
};

function asideAfter(before: readonly Aside[], entry: CommitEntry): readonly Aside[] {
  const { aside, removal, replaces, fresh } = entry;
  if (removal) {
    const left = new Set(removal.aside);
    return left.size === 0 ? before : before.filter(({ message }) => !left.has(message));
  }
  if (replaces && before.some(({ seq, stood }) => stood && fresh.has(seq)))
    return before.map((one) => (fresh.has(one.seq) ? { ...one, stood: false } : one));
  return aside.length === 0 ? before : [...before, ...aside].slice(-ASIDE_MAX);
}

function bounded(set: IntervalSet): IntervalSet {
  const first = set.min;
  return set.intervals <= REPLACED_INTERVALS_MAX ? set : IntervalSet.of([{ first, last: set.max }]);
}

/** The result of `absorb` and `counted` (rules.ts) for the envelope, rebuilt from the commit's entry. */
function changed(state: StreamState, entry: CommitEntry): StreamState {
  const { removal } = entry;
  if (removal) return withdraw(state, removal.ids.ranges(), removal.why);
  if (entry.replaces) return reinstated(state, entry.fresh.ranges());
  const seen = state.seen.clone();
  for (const { first, last } of entry.fresh.ranges()) seen.add(first, last);
  const given = (reason: GapReason): IntervalSet => {
    const left = state.givenUp[reason].difference(entry.fresh);
    for (const { first, last } of entry.givenUp[reason].ranges()) left.add(first, last);
    return left;
  };
  const stood = entry.aside.filter((aside) => aside.stood);
  const after = {
    ...state,
    seen,
    givenUp: isNothing(state.givenUp) && isNothing(entry.givenUp) ? state.givenUp : givenUpOf(given),
    sealedAt:
      state.sealedAt === null || entry.sealedAt === null
        ? (state.sealedAt ?? entry.sealedAt)
        : Math.max(state.sealedAt, entry.sealedAt),
    duplicates: state.duplicates + entry.duplicates,
    conflicts: state.conflicts + entry.aside.length - stood.length,
    proof: proofAfter(state.proof, entry),
  };
  if (stood.length === 0) return after;
  const ids = stood.map(({ seq }) => ({ first: seq, last: seq }));
  return withdraw(after, ids, 'quarantine');
}

/** The result of `proofAfter` (proof.ts), rebuilt from the commit's entry. */
function proofAfter(before: Proof, { fresh, proof }: CommitEntry): Proof {
  if (proof === null) return before;
  const { verified, proven, waived } = proof;
  const unverified = verified ? before.unverified : before.unverified.union(fresh);
  return {
    isSigned: before.isSigned || verified,
    unverified: unverified.difference(proven),
    waived: before.waived.union(waived).difference(proven),
  };
}
