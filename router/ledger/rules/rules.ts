/**
 * The ledger's rules as pure functions (I11): the only basis of every engine's decisions, and of the
 * simulation's.
 *
 * The state of a stream after a set of deliveries does not depend on their order (I5): the seen set is a
 * union, the given-up sets are the announced gaps minus the seen set, the seal is a maximum. Three rules
 * follow:
 * - A record that arrives for an id given up as a gap wins: it is new, and the id is no longer given up.
 * - A record above the seal is real telemetry (a gateway whose disk was replaced by an older copy announces
 * an end that its own records had passed): it is held like any other, reported in `aboveSeal`, and stays
 * visible as `highest > sealedAt`. It is not a conflict: a conflict is one id with two contents.
 * - A second seal with another number is reported in `resealed`; the higher one stands.
 *
 * Only the reason of an id given up twice depends on order: the first reason stays.
 */
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import {
  GAP_REASONS,
  type Gap,
  type GapReason,
  type SeqRange,
  type StreamKey,
  type TelemetryRecord,
} from '../../../shared/record.ts';
import {
  EntryRefused,
  type RecordContent,
  type Refused,
  type StreamCompleteness,
  type Withdrawal,
} from '../types.ts';
import { type GivenUp, givenUpOf, isNothing, NOTHING_GIVEN_UP } from './given-up.ts';
import { NO_PROOF, type Proof, proofAfter, provenSeen, refusalOf, type Standing } from './proof.ts';

const MISSING_RANGES_MAX = 100;
/**
 * Most intervals in the sets of one stream (I10): a gateway that sends every second id makes each of its
 * commits slightly slower than the one before. A record that fills a hole is always accepted.
 */
const INTERVALS_MAX = 100_000;

/** The withdrawn ids by reason: ids that were seen, and whose record the ledger no longer holds. */
export type Withdrawn = Readonly<Record<Withdrawal, IntervalSet>>;

/** The ledger's memory of one (gateway, epoch, stream) besides its records. Immutable. */
export interface StreamState {
  readonly seen: IntervalSet;
  /** Disjoint from `seen` and from each other. */
  readonly givenUp: GivenUp;
  /** Disjoint subsets of `seen`: an id without its record is still a seen id. */
  readonly withdrawn: Withdrawn;
  readonly sealedAt: number | null;
  readonly duplicates: number;
  readonly conflicts: number;
  readonly proof: Proof;
}

/** The effect of an envelope on a stream, before its repeated records are compared with the stored ones. */
export interface Absorption {
  /** The state afterwards, except the two counters: see {@link counted}. */
  state: StreamState;
  /** Records with a new id: to be stored. */
  fresh: TelemetryRecord[];
  /** Records with a known id: to be judged. */
  repeated: TelemetryRecord[];
  /** Newly given up. */
  gaps: SeqRange[];
  /** The number of `fresh` records above the seal. */
  aboveSeal: number;
  /** The stream was sealed before, at another number. */
  resealed: boolean;
  /** Nothing was taken, for this reason. */
  refused: Refused | null;
}

export const EMPTY_STREAM: StreamState = {
  seen: IntervalSet.empty(),
  givenUp: NOTHING_GIVEN_UP,
  withdrawn: {
    retention: IntervalSet.empty(),
    erasure: IntervalSet.empty(),
    quarantine: IntervalSet.empty(),
  },
  sealedAt: null,
  duplicates: 0,
  conflicts: 0,
  proof: NO_PROOF,
};

/** A heartbeat, or another envelope without content for a stream: it only proves contact. */
export function isContactOnly(envelope: Envelope): boolean {
  return envelope.records.length === 0 && envelope.gaps.length === 0 && envelope.sealedAt === null;
}

/** Throws {@link EntryRefused} when the stream would get too many holes. */
export function absorb(before: StreamState, envelope: Envelope, standing: Standing): Absorption {
  const seen = before.seen.clone();
  const none = isNothing(before.givenUp) && envelope.gaps.length === 0;
  const givenUp = none ? before.givenUp : givenUpOf((reason) => before.givenUp[reason].clone());
  const sets = Object.values(givenUp);
  const fresh: TelemetryRecord[] = [];
  const repeated: TelemetryRecord[] = [];
  for (const record of envelope.records) {
    if (seen.add(record.seq) === 0) {
      repeated.push(record);
      continue;
    }
    fresh.push(record);
    for (const set of sets) if (set.size > 0) set.remove(record.seq);
  }
  const gaps: SeqRange[] = [];
  for (const { first, last, reason } of envelope.gaps) {
    for (const part of outside([seen, ...sets], { first, last })) {
      givenUp[reason].add(part.first, part.last);
      gaps.push(part);
    }
  }
  const refused = refusalOf(before, { fresh, gaps, sealedAt: envelope.sealedAt }, standing);
  if (refused !== null) return nothingOf(before, refused);
  const sealedAt = later(before.sealedAt, envelope.sealedAt);
  const proof = proofAfter(before, envelope, fresh, standing.verified);
  const state = { ...before, seen, givenUp, sealedAt, proof };
  const many = tooManyRanges(before, state, envelope, standing);
  if (many !== null) return nothingOf(before, many);
  return {
    state,
    fresh,
    repeated,
    gaps,
    aboveSeal: sealedAt === null ? 0 : fresh.filter((record) => record.seq > sealedAt).length,
    resealed: before.sealedAt !== null && envelope.sealedAt !== null && before.sealedAt !== envelope.sealedAt,
    refused: null,
  };
}

/** The refusal of an envelope that leaves a stream in more ranges than its quota allows; null for others. */
function tooManyRanges(
  before: StreamState,
  after: StreamState,
  { gateway, stream }: Envelope,
  { rangesMax = Number.POSITIVE_INFINITY }: Standing,
): Refused | null {
  const ranges = intervalsOf(after);
  if (ranges <= Math.min(rangesMax, INTERVALS_MAX) || ranges <= intervalsOf(before)) return null;
  const detail = `${ranges} ranges in stream ${stream} of ${gateway}`;
  if (ranges > INTERVALS_MAX) throw new EntryRefused('limit', detail);
  return { reason: 'quota', detail: `${detail}, beyond quotas.ranges_per_stream (${rangesMax})` };
}

function nothingOf(state: StreamState, refused: Refused): Absorption {
  const nothing = { fresh: [], repeated: [], gaps: [], aboveSeal: 0, resealed: false };
  return { ...nothing, state, refused };
}

/**
 * `state` without the records of `seqs`, which must be seen. An id is withdrawn once, for the first reason;
 * only quarantine yields to a later reason.
 */
export function withdraw(state: StreamState, seqs: Iterable<SeqRange>, why: Withdrawal): StreamState {
  const { retention, erasure, quarantine } = state.withdrawn;
  const withdrawn = {
    retention: retention.clone(),
    erasure: erasure.clone(),
    quarantine: quarantine.clone(),
  };
  for (const { first, last } of seqs) {
    if (why !== 'quarantine') withdrawn.quarantine.remove(first, last);
    for (const part of outside(Object.values(withdrawn), { first, last })) {
      withdrawn[why].add(part.first, part.last);
    }
  }
  return { ...state, withdrawn };
}

/** `state` with ids whose records stand again: they are withdrawn no more. */
export function reinstated(state: StreamState, seqs: Iterable<SeqRange>): StreamState {
  const { erasure } = state.withdrawn;
  const [retention, quarantine] = [state.withdrawn.retention.clone(), state.withdrawn.quarantine.clone()];
  for (const { first, last } of seqs) {
    retention.remove(first, last);
    quarantine.remove(first, last);
  }
  return { ...state, withdrawn: { retention, erasure, quarantine } };
}

/**
 * Judges a repeated record, given every version known under its id: the held one and those kept aside. A
 * repeated version that is kept aside is a duplicate, so a redelivered conflict is counted once. Without any
 * version the record was pruned and cannot be compared: a duplicate.
 */
export function judge(record: RecordContent, versions: readonly RecordContent[]): 'duplicate' | 'conflict' {
  const known = versions.length === 0 || versions.some((version) => sameContent(version, record));
  return known ? 'duplicate' : 'conflict';
}

/** `state` with the counts of the comparisons added. */
export function counted(state: StreamState, duplicates: number, conflicts: number): StreamState {
  return {
    ...state,
    duplicates: state.duplicates + duplicates,
    conflicts: state.conflicts + conflicts,
  };
}

/** The completeness of a stream (I6). */
export function completenessOf(key: StreamKey, state: StreamState): StreamCompleteness {
  const { seen, givenUp, withdrawn, sealedAt, duplicates, conflicts, proof } = state;
  const all = statedBy(seen, state);
  return {
    gateway: key.gateway,
    epoch: key.epoch,
    stream: key.stream,
    ...all,
    gaps: gapsOf(givenUp),
    sealedAt,
    records: seen.size,
    withdrawn: {
      retention: withdrawn.retention.size,
      erasure: withdrawn.erasure.size,
      quarantine: withdrawn.quarantine.size,
    },
    duplicates,
    conflicts,
    isSigned: proof.isSigned,
    unverified: proof.unverified.size,
    proven: proof.unverified.size === 0 ? all : statedBy(provenSeen(state), state),
  };
}

/** The statement that follows from the ids in `seen`, beside those given up. */
function statedBy(seen: IntervalSet, { givenUp, sealedAt }: StreamState): StreamCompleteness['proven'] {
  const known = Object.values(givenUp).reduce((all, set) => all.union(set), seen);
  const highest = Math.max(known.max, sealedAt ?? 0);
  return {
    completeTo: known.firstGap() - 1,
    highest,
    missing: known.missing(1, highest, MISSING_RANGES_MAX),
    missingCount: highest - known.size,
  };
}

function intervalsOf({ seen, givenUp, proof }: StreamState): number {
  const sets = [...Object.values(givenUp), proof.unverified, proof.waived];
  return sets.reduce((count, set) => count + set.intervals, seen.intervals);
}

/**
 * Whether two contents are equal. Ignores the clock mapping: it is an estimate that improves, and a re-sent
 * record may carry a better one (I7).
 */
export function sameContent(a: RecordContent, b: RecordContent): boolean {
  return (
    a.monoMs === b.monoMs &&
    a.topic === b.topic &&
    a.device === b.device &&
    Buffer.compare(a.payload, b.payload) === 0
  );
}

function gapsOf(givenUp: GivenUp): Gap[] {
  const ofReason = (reason: GapReason): Gap[] =>
    [...givenUp[reason].ranges()].map(({ first, last }) => ({ first, last, reason }));
  return GAP_REASONS.flatMap(ofReason).sort((a, b) => a.first - b.first);
}

/** The parts of `range` that are in none of `sets`. */
function outside(sets: readonly IntervalSet[], range: SeqRange): SeqRange[] {
  return sets.reduce((parts, set) => parts.flatMap((part) => set.missing(part.first, part.last)), [range]);
}

function later(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.max(a, b);
}
