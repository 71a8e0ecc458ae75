/** `headgate ledger verify` on JetStream: compares the records in the log with the states built from it. */

import { IntervalSet } from '../../../shared/interval-set.ts';
import type { SeqRange } from '../../../shared/record.ts';
import type { LedgerVerification } from '../types.ts';
import { Verification } from '../verify.ts';
import type { ArrivalStore } from './arrivals.ts';
import type { Commit, CommitEntry, Removal } from './log/commit-format.ts';
import type { CommitLog } from './log/log.ts';
import type { States } from './log/states.ts';
import type { Names } from './names.ts';

/** Concurrent reads of arrivals. */
const READ_WIDTH = 128;

/** The ranges of a stream's records: ids found once, and ids found twice. */
class Runs {
  readonly #held = IntervalSet.empty();
  readonly #again: SeqRange[] = [];

  /** `ids`: the ids with a record in the arrival of `entry`. */
  take({ fresh, replaces, aside, removal }: CommitEntry, ids: readonly number[]): void {
    if (removal) this.#remove(removal.gone.union(removal.moved));
    for (const { seq, stood } of aside) if (stood) this.#held.remove(seq);
    if (replaces) this.#remove(fresh);
    for (const seq of ids) if (this.#held.add(seq) === 0) this.#again.push({ first: seq, last: seq });
  }

  /**
   * Adds records that were present at the compared moment and were removed or moved since: the read may have
   * missed them.
   */
  tookLater({ gone, moved }: Removal): void {
    for (const { first, last } of gone.union(moved).ranges()) this.#held.add(first, last);
  }

  #remove(ids: IntervalSet): void {
    for (const { first, last } of ids.ranges()) this.#held.remove(first, last);
  }

  *ranges(): Generator<SeqRange> {
    yield* this.#held.ranges();
    yield* this.#again;
  }
}

/**
 * Compares each stream at one moment, beside running commits. Memory grows with the number of streams and of
 * their holes.
 */
export async function compareAll(parts: {
  states: States;
  log: CommitLog;
  arrivals: ArrivalStore;
  names: Names;
  catchUp: () => Promise<void>;
}): Promise<LedgerVerification> {
  const { states, log, names } = parts;
  const items = await states.streams.all(names.streams(), states.head);
  const streams = new Map(items.map(({ item, at }) => [names.stream(item), { item, at, runs: new Runs() }]));
  const end = items.reduce((last, { at }) => Math.max(last, at), 0);
  for (let seq = 1; seq <= end; ) {
    const found = await log.at(seq);
    if (found === null) break;
    const { commit } = found;
    const arrivals = await readAll(commit, parts.arrivals);
    for (const [i, entry] of commit.entries.entries()) {
      const stream = streams.get(names.stream(entry));
      if (stream && found.seq <= stream.at) stream.runs.take(entry, arrivals[i] ?? []);
    }
    seq = found.seq + 1;
  }
  await parts.catchUp();
  for (let found = await log.at(end + 1); found !== null; found = await log.at(found.seq + 1)) {
    for (const entry of found.commit.entries) {
      if (entry.removal) streams.get(names.stream(entry))?.runs.tookLater(entry.removal);
    }
  }
  const verification = new Verification();
  for (const { item, runs } of streams.values()) {
    verification.compare(item, item.state.seen, runs.ranges(), item.state.withdrawn);
  }
  return verification.result();
}

/** The ids with a record in the arrival of each entry. */
async function readAll({ entries }: Commit, arrivals: ArrivalStore): Promise<number[][]> {
  const ids: number[][] = entries.map(() => []);
  const waiting = entries.entries();
  const read = async (): Promise<void> => {
    for (const [i, { parts }] of waiting) {
      const arrival = parts.length > 0 ? await arrivals.get(parts) : null;
      if (arrival) ids[i] = arrival.records.map(({ seq }) => seq);
    }
  };
  await Promise.all(Array.from({ length: READ_WIDTH }, read));
  return ids;
}
