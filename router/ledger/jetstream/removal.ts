/**
 * Removes records from a ledger whose log is never rewritten. An arrival is one message with records of many
 * devices, so no part of it can be overwritten in place. The records to keep are stored again, a commit
 * records the move, and only then the old message is deleted by its sequence; the server overwrites its
 * bytes. A kill before the commit leaves the old state, a kill after it leaves a message that is never read.
 * The log itself and the snapshots hold ids and intervals, and no content.
 *
 * A removal is planned on the current state of the log and accepted only directly after it, like any commit
 * (I5): of two replicas that remove the same records, one finds them gone and only deletes the messages.
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { StreamKey } from '../../../shared/record.ts';
import { NOTHING_GIVEN_UP } from '../rules/given-up.ts';
import type { ArrivalStore } from './arrivals.ts';
import type { ConflictStore } from './conflicts.ts';
import type { HeldVersions } from './held.ts';
import type { Parts } from './log/blobs.ts';
import type { Commit, CommitEntry } from './log/commit-format.ts';
import type { CommitLog, Head } from './log/log.ts';
import type { Place } from './log/page-fold.ts';
import type { States } from './log/states.ts';

/** The removals of one commit, planned on a head of the log. */
export interface RemovalPlan {
  entries: readonly CommitEntry[];
  /** Deleted after the commit: arrivals, and versions kept aside. */
  arrivals: readonly Parts[];
  aside: readonly number[];
}

export interface RemovalParts {
  log: CommitLog;
  states: States;
  arrivals: ArrivalStore;
  conflicts: ConflictStore;
  held: HeldVersions;
  catchUp: () => Promise<void>;
  /** Runs `work` while no commit of this replica is running. */
  inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}

/** A current record, in its entry's arrival or in the one that it was moved to. */
export interface Standing {
  seq: number;
  place: Place;
}

/** Plans and commits until the log accepts the plan, then deletes. Resolves to that plan. */
export async function removeRecords<Plan extends RemovalPlan>(
  parts: RemovalParts,
  makePlan: () => Promise<Plan>,
): Promise<Plan> {
  const plan = await parts.inTurn(() => committed(parts, makePlan));
  await Promise.all(plan.arrivals.map((one) => parts.arrivals.remove(one)));
  await Promise.all(plan.aside.map((message) => parts.conflicts.remove(message)));
  return plan;
}

async function committed<Plan extends RemovalPlan>(
  { log, states, catchUp }: RemovalParts,
  makePlan: () => Promise<Plan>,
): Promise<Plan> {
  for (;;) {
    const { head } = log;
    const plan = await makePlan();
    if (plan.entries.length === 0) return plan;
    if (await log.append(head, commitOf(head, plan.entries))) {
      states.committed();
      return plan;
    }
    await catchUp();
  }
}

function commitOf(head: Head, entries: readonly CommitEntry[]): Commit {
  const { offset, duplicates, conflicts } = head;
  return {
    number: head.number + 1,
    offset,
    duplicates,
    conflicts,
    entries,
    contacts: [],
    bootClocks: [],
    isShared: true,
  };
}

/** An entry that adds no records. */
export function removalEntry(
  { gateway, epoch, stream }: StreamKey,
  removal: NonNullable<CommitEntry['removal']>,
  parts: Parts = [],
): CommitEntry {
  const none = IntervalSet.empty();
  return {
    gateway,
    epoch,
    stream,
    fresh: none,
    parts,
    storedBytes: 0,
    givenUp: NOTHING_GIVEN_UP,
    sealedAt: null,
    duplicates: 0,
    aside: [],
    replaces: false,
    proof: null,
    removal,
  };
}

/**
 * The ids of `entry`, whose offsets begin after `offset`, with a record that still stands as it came with
 * this entry.
 */
export async function standingOf(
  held: HeldVersions,
  entry: CommitEntry,
  offset: number,
): Promise<Standing[]> {
  const seqs = seqsOf(entry.fresh);
  const places = await held.places(seqs.map((seq) => ({ key: entry, seq })));
  return seqs.flatMap((seq, i) => {
    const place = places[i];
    if (!place || !isAt(place, seq, offset + 1 + i)) return [];
    return [{ seq, place }];
  });
}

/**
 * Whether the standing record of `seq` has `offset`. A place without an offset is of the first record of its
 * id: replacing records have always stored their offset.
 */
export function isAt(place: Place, seq: number, offset: number): boolean {
  return place.offset === null || place.offset + seq - place.first === offset;
}

export function seqsOf(ids: IntervalSet): number[] {
  return Array.from(ids.ranges(), ({ first, last }) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i),
  ).flat();
}

export function idsOf(seqs: Iterable<number>): IntervalSet {
  const ids = IntervalSet.empty();
  for (const seq of seqs) ids.add(seq);
  return ids;
}
