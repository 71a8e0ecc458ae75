/** The sources that brought a record, and its present state: the answer to "where is this reading?". */
import type { SendReason } from '../../shared/envelope/send-reason.ts';
import { GAP_REASONS, type GapReason, type SeqRange, type StreamKey } from '../../shared/record.ts';
import { rangesOf } from './rules/outcome.ts';
import { causeOf } from './rules/repeat-cause.ts';
import type { StreamState } from './rules/rules.ts';
import type { CommitResult, LedgerEntry, RepeatCause, Withdrawal } from './types.ts';

export interface RecordId extends StreamKey {
  seq: number;
}

/** One source brought one version of the record. */
export interface Sighting {
  source: string;
  receivedWallMs: number;
}

/** A sighting with the gateway's reason for sending. */
export interface MarkedSighting extends Sighting {
  sentAs: SendReason | null;
}

export interface RepeatedSighting extends Sighting {
  cause: RepeatCause;
}

export interface Whereabouts extends RecordId {
  state: 'held' | 'missing' | 'never-seen' | Withdrawal | `given-up-${GapReason}`;
  /** The record's offset while it is held. */
  offset: number | null;
  /** The first sighting of the standing version. */
  first: Sighting | null;
  /** Repetitions with the same content; the newest first, at most the first 100 of those still remembered. */
  again: RepeatedSighting[];
  /** Other contents under its id, kept aside. */
  aside: Sighting[];
}

/** A range of records repeated in one envelope. */
export interface Repetition extends SeqRange, MarkedSighting {
  redelivered: boolean;
}

/** Most repetitions remembered by a ledger (I10): one row each, whatever its number of records. */
export const REPETITIONS_MAX = 200_000;
export const SIGHTINGS_TOLD_MAX = 100;

/** The repetitions in an entry. */
export function repetitionsOf(entry: LedgerEntry, result: CommitResult): Repetition[] {
  const { source, receivedWallMs, redelivered = false, sentAs = null } = entry;
  const way = { source, receivedWallMs, redelivered, sentAs };
  return rangesOf(result, 'duplicate').map((run) => ({ ...run, ...way }));
}

/** The state of an id whose record is not held, by the stream's state. */
export function absentState(state: StreamState | null, seq: number): Whereabouts['state'] {
  if (!state) return 'never-seen';
  const { withdrawn, givenUp } = state;
  for (const why of ['retention', 'erasure', 'quarantine'] as const) if (withdrawn[why].has(seq)) return why;
  for (const why of GAP_REASONS) if (givenUp[why].has(seq)) return `given-up-${why}`;
  const highest = Math.max(
    state.seen.max,
    state.sealedAt ?? 0,
    ...Object.values(givenUp).map(({ max }) => max),
  );
  return seq <= highest ? 'missing' : 'never-seen';
}

export function sightingOf(
  again: Omit<Repetition, keyof SeqRange>,
  first: MarkedSighting | null | undefined,
): RepeatedSighting {
  const { source, receivedWallMs } = again;
  return { source, receivedWallMs, cause: causeOf(again, first) };
}
