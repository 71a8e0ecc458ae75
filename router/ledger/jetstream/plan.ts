/**
 * Decides a commit on the state that the log has come to, by the rules, and stores what it refers to: the new records, the
 * versions to keep aside. Nothing of it counts until the commit is in the log; a plan that loses is made anew, and what it
 * stored stays behind unread.
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { TelemetryRecord } from '../../../shared/record.ts';
import { bootClocksOf } from '../boot-clocks.ts';
import type { CommitResult, GatewayContact, LedgerEntry, RecordContent, RecordVersion } from '../ledger.ts';
import { type Absorption, absorb, EMPTY_STREAM, type GivenUp, isContactOnly, judge } from '../rules.ts';
import type { Parts } from './blobs.ts';
import type { Commit, CommitEntry } from './commit.ts';
import type { ConflictStore } from './conflicts.ts';
import type { HeldVersions } from './held.ts';
import type { Head } from './log.ts';
import type { Names } from './names.ts';
import { type ArrivalStore, payloadBytes } from './records.ts';
import type { States } from './states.ts';
import type { StreamItem } from './stream-fold.ts';

export interface Plan {
  commit: Commit;
  /** In the order of the entries. */
  results: CommitResult[];
  /** For the log, once it is committed. */
  absorbed: readonly Absorbed[];
}

export interface Absorbed {
  entry: LedgerEntry;
  subject: string;
  absorption: Absorption;
  givenUp: GivenUp;
  result: CommitResult;
  inConflict: TelemetryRecord[];
}

/** What earlier plans of the same commit stored, by entry: the same again need not be. */
export type Stored = Map<LedgerEntry, { fresh: IntervalSet; parts: Parts }>;

const NOTHING: CommitResult = { new: 0, duplicate: 0, duplicateElsewhere: 0, conflict: 0, gap: 0 };
const NONE: GivenUp = {
  quota: IntervalSet.empty(),
  age: IntervalSet.empty(),
  corruption: IntervalSet.empty(),
};

export class Planner {
  readonly #states: States;
  readonly #arrivals: ArrivalStore;
  readonly #held: HeldVersions;
  readonly #conflicts: ConflictStore;
  readonly #names: Names;

  constructor(parts: {
    states: States;
    arrivals: ArrivalStore;
    held: HeldVersions;
    conflicts: ConflictStore;
    names: Names;
  }) {
    this.#states = parts.states;
    this.#arrivals = parts.arrivals;
    this.#held = parts.held;
    this.#conflicts = parts.conflicts;
    this.#names = parts.names;
  }

  /** `head`: read before this is called. Should the log go on meanwhile, the plan is worth nothing, and is refused. */
  async plan(entries: readonly LedgerEntry[], head: Head, stored: Stored): Promise<Plan> {
    const telling = entries.filter(({ envelope }) => !isContactOnly(envelope));
    const subjects = telling.map(({ envelope }) => this.#names.stream(envelope));
    const items = await this.#states.streams.load(subjects);
    const states = new Map(Array.from(items, ([subject, item]) => [subject, item?.state ?? EMPTY_STREAM]));
    const absorbed = telling.map((entry, i): Absorbed => {
      const subject = subjects[i] ?? '';
      const before = states.get(subject) ?? EMPTY_STREAM;
      const absorption = absorb(before, entry.envelope);
      states.set(subject, absorption.state);
      const result = { ...NOTHING, new: absorption.fresh.length, gap: absorption.gap };
      const givenUp = absorption.gap === 0 ? NONE : added(before.givenUp, absorption.state.givenUp);
      return { entry, subject, absorption, givenUp, result, inConflict: [] };
    });
    await this.#judgeRepeated(absorbed, items);
    const changes = await Promise.all(absorbed.map((one) => this.#store(one, stored)));
    const conflicts = changes.reduce((sum, { aside }) => sum + aside.length, 0);
    const duplicates = changes.reduce((sum, one) => sum + one.duplicates, 0);
    const judged = absorbed.values();
    return {
      commit: {
        number: head.number + 1,
        offset: head.offset,
        duplicates: head.duplicates + duplicates,
        conflicts: head.conflicts + conflicts,
        entries: changes,
        contacts: contactsOf(entries),
        bootClocks: bootClocksOf(entries),
      },
      results: entries.map(({ envelope }) =>
        isContactOnly(envelope) ? { ...NOTHING } : (judged.next().value?.result ?? { ...NOTHING }),
      ),
      absorbed,
    };
  }

  /** Counts duplicates and conflicts into the results. */
  async #judgeRepeated(
    absorbed: readonly Absorbed[],
    items: ReadonlyMap<string, StreamItem | null>,
  ): Promise<void> {
    const repeated = absorbed.flatMap(({ entry, subject, absorption }) =>
      absorption.repeated.map(({ seq }) => ({ key: entry.envelope, subject, seq, id: idText(subject, seq) })),
    );
    if (repeated.length === 0) return;
    const versions = await this.#held.of(repeated);
    const held = new Map(repeated.map(({ id }, i) => [id, versions[i] ?? null]));
    const asideBefore = await this.#asideOf(repeated, items);
    for (const { entry, subject, absorption, result, inConflict } of absorbed) {
      for (const record of absorption.fresh) {
        const id = idText(subject, record.seq);
        if (held.has(id)) held.set(id, versionOf(entry, record));
      }
      for (const record of absorption.repeated) {
        const id = idText(subject, record.seq);
        const first = held.get(id) ?? null;
        const others = asideBefore.get(id) ?? [];
        if (judge(record, first ? [first, ...others] : []) === 'duplicate') {
          result.duplicate += 1;
          if (first && first.source !== entry.source) result.duplicateElsewhere += 1;
        } else {
          result.conflict += 1;
          inConflict.push(record);
          asideBefore.set(id, [...others, record]);
        }
      }
    }
  }

  /** The versions kept aside under each id, where there are any. */
  async #asideOf(
    repeated: readonly { subject: string; seq: number; id: string }[],
    items: ReadonlyMap<string, StreamItem | null>,
  ): Promise<Map<string, RecordContent[]>> {
    const wanted = repeated.flatMap(({ subject, seq, id }) =>
      (items.get(subject)?.aside ?? [])
        .filter((aside) => aside.seq === seq)
        .map(({ message }) => ({ id, message })),
    );
    const messages = [...new Map(wanted.map((one) => [one.message, one])).values()];
    const versions = await Promise.all(messages.map(({ message }) => this.#conflicts.version(message)));
    const aside = new Map<string, RecordContent[]>();
    for (const [i, { id }] of messages.entries()) {
      const version = versions[i];
      if (version) aside.set(id, [...(aside.get(id) ?? []), version]);
    }
    return aside;
  }

  /** Stores the new records of an entry and its versions to keep aside; what the commit says of it. */
  async #store(
    { entry, absorption, givenUp, result, inConflict }: Absorbed,
    stored: Stored,
  ): Promise<CommitEntry> {
    const { gateway, epoch, stream, sealedAt } = entry.envelope;
    const fresh = IntervalSet.empty();
    for (const { seq } of absorption.fresh) fresh.add(seq);
    const before = stored.get(entry);
    const [parts, aside] = await Promise.all([
      fresh.size === 0
        ? []
        : before?.fresh.equals(fresh)
          ? before.parts
          : this.#arrivals.put(entry, absorption.fresh),
      Promise.all(
        inConflict.map(async (record) => ({
          seq: record.seq,
          message: await this.#conflicts.add(entry, record),
        })),
      ),
    ]);
    if (fresh.size > 0) stored.set(entry, { fresh, parts });
    return {
      gateway,
      epoch,
      stream,
      fresh,
      parts,
      payloadBytes: payloadBytes(absorption.fresh),
      givenUp,
      sealedAt,
      duplicates: result.duplicate,
      aside,
    };
  }
}

function idText(subject: string, seq: number): string {
  return `${subject} ${seq}`;
}

function added(before: GivenUp, after: GivenUp): GivenUp {
  return {
    quota: after.quota.difference(before.quota),
    age: after.age.difference(before.age),
    corruption: after.corruption.difference(before.corruption),
  };
}

function versionOf({ source, receivedWallMs }: LedgerEntry, record: TelemetryRecord): RecordVersion {
  const { device, topic, payload, monoMs } = record;
  return { device, topic, payload, monoMs, source, receivedWallMs };
}

/** The latest of each gateway through each source. */
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
