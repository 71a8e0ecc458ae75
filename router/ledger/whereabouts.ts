/** Which sources brought a record, and what became of it: the answer to "where is this reading?". */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { GapReason, SeqRange, StreamKey, TelemetryRecord } from '../../shared/record.ts';
import type { LedgerEntry, Withdrawal } from './ledger.ts';
import type { StreamState } from './rules.ts';

export interface RecordId extends StreamKey {
  seq: number;
}

/** One source brought one version of it. */
export interface Sighting {
  source: string;
  receivedWallMs: number;
}

export interface RepeatedSighting extends Sighting {
  cause: /** The provider delivered the message again. */
    | 'redelivery'
    /** Another source had brought it: hedging, failover, or a redundant copy; the gateway does not say which. */
    | 'other-source'
    /** The gateway sent it again through the same source, for example after an unknown outcome. */
    | 'same-source'
    /** Not told: what stood first has left the ledger. */
    | 'unknown';
}

export interface Whereabouts extends RecordId {
  state: 'held' | 'missing' | 'never-seen' | Withdrawal | `given-up-${GapReason}`;
  /** While it is held. */
  offset: number | null;
  /** What stands in the ledger came so. */
  first: Sighting | null;
  /** It came again with the same content; the newest first, at most the first 100 of those still remembered. */
  again: RepeatedSighting[];
  /** Other contents under its id, kept aside. */
  aside: Sighting[];
}

/** A run of records that came again in one envelope. */
export interface Repetition extends SeqRange, Sighting {
  redelivered: boolean;
}

/** Repetitions remembered by a ledger (I10): a row each, whatever the number of records in it. */
export const REPETITIONS_MAX = 200_000;
export const SIGHTINGS_TOLD_MAX = 100;

export function repetitionsOf(entry: LedgerEntry, duplicates: readonly TelemetryRecord[]): Repetition[] {
  const { source, receivedWallMs, redelivered = false } = entry;
  const runs = IntervalSet.of(duplicates.map(({ seq }) => ({ first: seq, last: seq })));
  return Array.from(runs.ranges(), (run) => ({ ...run, source, receivedWallMs, redelivered }));
}

/** What the stream's state says of an id whose record is not held. */
export function absentState(state: StreamState | null, seq: number): Whereabouts['state'] {
  if (!state) return 'never-seen';
  const { withdrawn, givenUp } = state;
  for (const why of ['retention', 'erasure', 'quarantine'] as const) if (withdrawn[why].has(seq)) return why;
  for (const why of ['quota', 'age', 'corruption'] as const)
    if (givenUp[why].has(seq)) return `given-up-${why}`;
  const highest = Math.max(
    state.seen.max,
    state.sealedAt ?? 0,
    ...Object.values(givenUp).map(({ max }) => max),
  );
  return seq <= highest ? 'missing' : 'never-seen';
}

export function sightingOf(
  { source, receivedWallMs, redelivered }: Omit<Repetition, keyof SeqRange>,
  first: Sighting | null,
): RepeatedSighting {
  const elsewhere = first && first.source !== source ? 'other-source' : 'same-source';
  return { source, receivedWallMs, cause: redelivered ? 'redelivery' : first ? elsewhere : 'unknown' };
}
