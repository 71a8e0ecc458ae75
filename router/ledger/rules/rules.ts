/**
 * The ledger's rules as pure functions (I11): every engine, and the simulation, decides by these and only by
 * these.
 *
 * The state of a stream after any deliveries is the same in whatever order they came (I5): the seen set is a
 * union, the given-up sets are the announced gaps minus what was seen, the seal is a maximum. Three rules
 * follow from that:
 * - A record that arrives for an id given up as a gap wins: it is new, and the id is given up no more.
 * - A record above the seal is real telemetry (a gateway whose disk was replaced by an older copy announces
 *   an end that
 *   its own records had passed): it is held like any other, reported in `aboveSeal`, and stays visible as
 *   `highest > sealedAt`. It is no conflict: those are one id with two contents.
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
import { EntryRefused, type RecordContent, type StreamCompleteness, type Withdrawal } from '../types.ts';
import { type GivenUp, givenUpOf, isNothing, NOTHING_GIVEN_UP } from './given-up.ts';

const MISSING_RANGES_MAX = 100;
/**
 * Intervals that the sets of one stream may have (I10): a gateway that sends every second id makes each of
 * its commits a little slower than the last. What fills holes is always taken.
 */
const INTERVALS_MAX = 100_000;

/** By why the ledger no longer holds the record of an id that it has seen. */
export type Withdrawn = Readonly<Record<Withdrawal, IntervalSet>>;

/**
 * All that the ledger remembers of one (gateway, epoch, stream) besides its records. Never changed in place.
 */
export interface StreamState {
  readonly seen: IntervalSet;
  /** Disjoint from `seen` and from each other. */
  readonly givenUp: GivenUp;
  /** Each a part of `seen`, disjoint: an id without its record is still an id that came. */
  readonly withdrawn: Withdrawn;
  readonly sealedAt: number | null;
  readonly duplicates: number;
  readonly conflicts: number;
}

/** What an envelope does to a stream, before its repeated records are compared with the stored ones. */
export interface Absorption {
  /** The state afterwards, but for the two counters: see {@link counted}. */
  state: StreamState;
  /** First of their id: to be stored. */
  fresh: TelemetryRecord[];
  /** Their id is held already: to be judged. */
  repeated: TelemetryRecord[];
  /** Newly given up. */
  gaps: SeqRange[];
  /** How many of `fresh` lie above the seal. */
  aboveSeal: number;
  /** It was sealed before, at another number. */
  resealed: boolean;
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
};

/** A heartbeat, or anything else that says nothing about a stream: it only proves contact. */
export function isContactOnly(envelope: Envelope): boolean {
  return envelope.records.length === 0 && envelope.gaps.length === 0 && envelope.sealedAt === null;
}

/** Throws {@link EntryRefused} when the stream would get too many holes. */
export function absorb(before: StreamState, envelope: Envelope): Absorption {
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
  const sealedAt = later(before.sealedAt, envelope.sealedAt);
  const state = { ...before, seen, givenUp, sealedAt };
  const intervals = intervalsOf(state);
  if (intervals > INTERVALS_MAX && intervals > intervalsOf(before)) {
    throw new EntryRefused(
      'limit',
      `${intervals} ranges in stream ${envelope.stream} of ${envelope.gateway}`,
    );
  }
  return {
    state,
    fresh,
    repeated,
    gaps,
    aboveSeal: sealedAt === null ? 0 : fresh.filter((record) => record.seq > sealedAt).length,
    resealed: before.sealedAt !== null && envelope.sealedAt !== null && before.sealedAt !== envelope.sealedAt,
  };
}

/**
 * `state` without the records of `seqs`, which it has seen. An id is withdrawn once, for the first reason,
 * but that of a quarantine gives way.
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

/**
 * What a repeated record is, given every version known under its id: the held one and those kept aside. A
 * version kept aside that comes again is a duplicate, so a redelivered conflict is counted once. No version
 * means that the record was pruned since and cannot be compared: a duplicate.
 */
export function judge(record: RecordContent, versions: readonly RecordContent[]): 'duplicate' | 'conflict' {
  const known = versions.length === 0 || versions.some((version) => sameContent(version, record));
  return known ? 'duplicate' : 'conflict';
}

/** `state` with the outcome of the comparisons added. */
export function counted(state: StreamState, duplicates: number, conflicts: number): StreamState {
  return {
    ...state,
    duplicates: state.duplicates + duplicates,
    conflicts: state.conflicts + conflicts,
  };
}

/** What the router can state about a stream (I6). */
export function completenessOf(key: StreamKey, state: StreamState): StreamCompleteness {
  const { seen, givenUp, withdrawn, sealedAt, duplicates, conflicts } = state;
  const known = Object.values(givenUp).reduce((all, set) => all.union(set), seen);
  const highest = Math.max(known.max, sealedAt ?? 0);
  return {
    gateway: key.gateway,
    epoch: key.epoch,
    stream: key.stream,
    completeTo: known.firstGap() - 1,
    highest,
    missing: known.missing(1, highest, MISSING_RANGES_MAX),
    missingCount: highest - known.size,
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
  };
}

function intervalsOf({ seen, givenUp }: StreamState): number {
  return Object.values(givenUp).reduce((count, set) => count + set.intervals, seen.intervals);
}

/**
 * The clock mapping is left out: it is an estimate that improves, and a re-sent record may carry a better one
 * (I7).
 */
function sameContent(a: RecordContent, b: RecordContent): boolean {
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
