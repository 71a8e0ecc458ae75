/**
 * Plans a commit by the rules on the current state of the log, and stores its records and the versions to
 * keep aside. They count only once the commit is in the log. A plan that loses to another commit is made
 * again, and its stored data stays unread.
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { TelemetryRecord } from '../../../shared/record.ts';
import { bootClocksOf } from '../rules/boot-clocks.ts';
import { type GivenUp, givenUpOf, NOTHING_GIVEN_UP } from '../rules/given-up.ts';
import { committed, nothingCommitted } from '../rules/outcome.ts';
import type { Proof } from '../rules/proof.ts';
import { NOTHING_REPEATED, type Settled } from '../rules/repeated.ts';
import { storedBytes } from '../rules/retention.ts';
import { type Absorption, absorb, EMPTY_STREAM, isContactOnly } from '../rules/rules.ts';
import type { CommitResult, GatewayContact, LedgerEntry } from '../types.ts';
import type { ArrivalStore } from './arrivals.ts';
import type { ConflictStore } from './conflicts.ts';
import type { Parts } from './log/blobs.ts';
import type { Commit, CommitEntry, ProofChange } from './log/commit-format.ts';
import type { Head } from './log/log.ts';
import type { States } from './log/states.ts';
import type { Names } from './names.ts';
import type { RepeatedVersions } from './repeated.ts';

export interface Plan {
  commit: Commit;
  /** In the order of the entries. */
  results: CommitResult[];
  /** Applied by the log after the commit. */
  absorbed: readonly Absorbed[];
}

export interface Absorbed extends Settled {
  entry: LedgerEntry;
  subject: string;
  absorption: Absorption;
  givenUp: GivenUp;
  proof: ProofChange | null;
  result: CommitResult;
}

/** Data stored by earlier plans of the same commit, by entry, for reuse. */
export type Stored = Map<LedgerEntry, { fresh: IntervalSet; parts: Parts }>;

export class Planner {
  readonly #states: States;
  readonly #arrivals: ArrivalStore;
  readonly #repeated: RepeatedVersions;
  readonly #conflicts: ConflictStore;
  readonly #names: Names;

  constructor(parts: {
    states: States;
    arrivals: ArrivalStore;
    repeated: RepeatedVersions;
    conflicts: ConflictStore;
    names: Names;
  }) {
    this.#states = parts.states;
    this.#arrivals = parts.arrivals;
    this.#repeated = parts.repeated;
    this.#conflicts = parts.conflicts;
    this.#names = parts.names;
  }

  /** `head` must be read before the call. A plan on an outdated head is refused by the log. */
  async plan(entries: readonly LedgerEntry[], head: Head, stored: Stored): Promise<Plan> {
    const telling = entries.filter(({ envelope }) => !isContactOnly(envelope));
    const subjects = telling.map(({ envelope }) => this.#names.stream(envelope));
    const items = await this.#states.streams.load(subjects);
    const states = new Map(Array.from(items, ([subject, item]) => [subject, item?.state ?? EMPTY_STREAM]));
    const absorptions = telling.map((entry, i) => {
      const subject = subjects[i] ?? '';
      const before = states.get(subject) ?? EMPTY_STREAM;
      const absorption = absorb(before, entry.envelope, entry);
      states.set(subject, absorption.state);
      const givenUp =
        absorption.gaps.length === 0 ? NOTHING_GIVEN_UP : added(before.givenUp, absorption.state.givenUp);
      const proof = proofChange(before.proof, absorption.state.proof, entry);
      return { entry, subject, absorption, givenUp, proof };
    });
    const settled = await this.#repeated.settle(absorptions, items);
    const absorbed = absorptions.map((one, i): Absorbed => {
      const own = settled[i] ?? NOTHING_REPEATED;
      return { ...one, ...own, result: committed(one.absorption, own) };
    });
    const changes = (await Promise.all(absorbed.map((one) => this.#store(one, stored)))).flat();
    const conflicts = absorbed.reduce((sum, { inConflict }) => sum + inConflict.length, 0);
    const duplicates = absorbed.reduce((sum, one) => sum + one.duplicates.length, 0);
    const results = absorbed.values();
    return {
      commit: {
        number: head.number + 1,
        offset: head.offset,
        duplicates: head.duplicates + duplicates,
        conflicts: head.conflicts + conflicts,
        entries: changes,
        contacts: contactsOf(entries),
        bootClocks: bootClocksOf(entries),
        isShared: true,
      },
      results: entries.map(({ envelope }) =>
        isContactOnly(envelope) ? nothingCommitted() : (results.next().value?.result ?? nothingCommitted()),
      ),
      absorbed,
    };
  }

  /**
   * Stores the new records of an entry and its versions to keep aside; returns the entry's part of the
   * commit.
   */
  async #store(
    { entry, absorption, givenUp, proof, duplicates, aside, winners }: Absorbed,
    stored: Stored,
  ): Promise<CommitEntry[]> {
    if (absorption.refused !== null) return [];
    const { gateway, epoch, stream, sealedAt } = entry.envelope;
    const key = { gateway, epoch, stream };
    const fresh = idsOf(absorption.fresh);
    const before = stored.get(entry);
    const [parts, winnerParts, kept] = await Promise.all([
      before?.fresh.equals(fresh) ? before.parts : this.#put(entry, absorption.fresh),
      this.#put(entry, winners),
      Promise.all(
        aside.map(async ({ seq, version, stood }) => ({
          seq,
          stood,
          message: await this.#conflicts.add(key, seq, version),
        })),
      ),
    ]);
    if (fresh.size > 0) stored.set(entry, { fresh, parts });
    const first: CommitEntry = {
      ...key,
      fresh,
      parts,
      storedBytes: storedBytes(absorption.fresh),
      givenUp,
      sealedAt,
      duplicates: duplicates.length,
      aside: kept,
      replaces: false,
      removal: null,
      proof,
    };
    if (winners.length === 0) return [first];
    const second = { fresh: idsOf(winners), parts: winnerParts, storedBytes: storedBytes(winners) };
    const nothing = { givenUp: NOTHING_GIVEN_UP, sealedAt: null, duplicates: 0, aside: [], removal: null };
    return [first, { ...key, ...second, ...nothing, replaces: true, proof: null }];
  }

  #put(entry: LedgerEntry, records: readonly TelemetryRecord[]): Promise<Parts> {
    return records.length === 0 ? Promise.resolve([]) : this.#arrivals.put(entry, records);
  }
}

function idsOf(records: readonly TelemetryRecord[]): IntervalSet {
  const ids = IntervalSet.empty();
  for (const { seq } of records) ids.add(seq);
  return ids;
}

function proofChange(before: Proof, after: Proof, { verified }: LedgerEntry): ProofChange | null {
  if (before === after) return null;
  const proven = before.unverified.difference(after.unverified);
  return { verified, proven, waived: after.waived.difference(before.waived) };
}

function added(before: GivenUp, after: GivenUp): GivenUp {
  return givenUpOf((reason) => after[reason].difference(before[reason]));
}

/** The latest contact of each gateway through each source. */
function contactsOf(entries: readonly LedgerEntry[]): GatewayContact[] {
  const contacts = new Map<string, GatewayContact>();
  for (const { envelope, source, receivedWallMs } of entries) {
    const { gateway } = envelope;
    const name = JSON.stringify([gateway, source]);
    const lastWallMs = Math.max(receivedWallMs, contacts.get(name)?.lastWallMs ?? receivedWallMs);
    contacts.set(name, { gateway, source, lastWallMs });
  }
  return [...contacts.values()];
}
