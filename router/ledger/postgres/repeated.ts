/**
 * Records whose ids are held already, in one commit: judged by the rules, and what the stream's policy makes
 * of conflicts. What is held may be in the table, or be a record that an earlier entry of the same commit is
 * about to store.
 */
import type { TelemetryRecord } from '../../../shared/record.ts';
import type { ConflictPolicy, ConflictPolicyOf } from '../rules/conflict-policy.ts';
import { committed, type Judged } from '../rules/outcome.ts';
import { causeOf, countCause } from '../rules/repeat-cause.ts';
import { type Absorption, counted, judge, withdraw } from '../rules/rules.ts';
import type { CommitResult, HeldVersion, LedgerEntry, RecordContent, RecordVersion } from '../types.ts';
import { repetitionsOf } from '../whereabouts.ts';
import type { Queryable } from './connection.ts';
import { type Aside, asideVersions } from './evidence.ts';
import { heldVersions } from './held.ts';
import { idText, type StoredId } from './records.ts';
import type { LockedStream } from './streams.ts';
import type { StoredRepetition } from './whereabouts.ts';

/** One entry, after the rules. */
export interface Absorbed {
  entry: LedgerEntry;
  stream: LockedStream;
  absorption: Absorption;
  result: CommitResult;
  /** To be stored with this entry: its new records, and those that took another's place. */
  stored: [fresh: TelemetryRecord[], winners: TelemetryRecord[]];
}

export interface Settled {
  /** Versions to keep aside. */
  aside: Aside[];
  /** Records in the table that stand no longer. */
  withdrawn: StoredId[];
  repetitions: StoredRepetition[];
}

export const NOT_REPEATED: Judged = { duplicates: [], inConflict: [], causes: {} };

/** A version that stands; `list` is where it waits to be stored, null when it is in the table. */
interface Standing {
  version: HeldVersion;
  list: TelemetryRecord[] | null;
}

/** Puts what was judged into the results and the streams' states. */
export async function judgeRepeated(
  client: Queryable,
  absorbed: readonly Absorbed[],
  conflictPolicyOf: ConflictPolicyOf,
): Promise<Settled> {
  const repeated = absorbed.flatMap(({ stream, absorption }): (StoredId & { disputed: boolean })[] =>
    absorption.repeated.map(({ seq }) => ({
      gateway: stream.key.gateway,
      streamId: stream.id,
      seq,
      disputed: stream.state.conflicts > 0,
    })),
  );
  if (repeated.length === 0) return { aside: [], withdrawn: [], repetitions: [] };
  const held = await heldVersions(client, repeated);
  const disputedBefore = repeated.filter(({ disputed }) => disputed);
  const judging = new Judging(held, await asideVersions(client, disputedBefore));
  for (const one of absorbed) judging.judge(one, conflictPolicyOf(one.entry.envelope.stream));
  return judging.settled;
}

class Judging {
  readonly settled: Settled = { aside: [], withdrawn: [], repetitions: [] };
  readonly #held: Map<string, Standing>;
  readonly #aside: Map<string, RecordContent[]>;

  constructor(held: ReadonlyMap<string, HeldVersion>, aside: Map<string, RecordContent[]>) {
    this.#held = new Map(Array.from(held, ([id, version]) => [id, { version, list: null }]));
    this.#aside = aside;
  }

  judge(one: Absorbed, policy: ConflictPolicy): void {
    const { entry, stream, absorption, stored } = one;
    for (const record of absorption.fresh) {
      const version = versionOf(entry, record);
      this.#held.set(idText(stream.id, record.seq), { version, list: stored[0] });
    }
    const duplicates: TelemetryRecord[] = [];
    const inConflict: TelemetryRecord[] = [];
    const causes: CommitResult['causes'] = {};
    for (const record of absorption.repeated) {
      const id = idText(stream.id, record.seq);
      const first = this.#held.get(id);
      const isQuarantined = stream.state.withdrawn.quarantine.has(record.seq);
      const aside = this.#aside.get(id) ?? [];
      const known = first || isQuarantined ? [...(first ? [first.version] : []), ...aside] : [];
      // A version that was erased must not come back as one that is kept aside.
      const isErased = stream.state.withdrawn.erasure.has(record.seq);
      if (isErased || judge(record, known) === 'duplicate') {
        duplicates.push(record);
        countCause(causes, causeOf(entry, first?.version));
        continue;
      }
      inConflict.push(record);
      this.#keepBoth(one, record, first, policy);
    }
    one.result = committed(absorption, { duplicates, inConflict, causes });
    const place = { gateway: stream.key.gateway, streamId: stream.id };
    for (const run of repetitionsOf(entry, one.result)) this.settled.repetitions.push({ ...place, ...run });
    stream.state = counted(stream.state, duplicates.length, inConflict.length);
  }

  /** Both versions are somewhere for good before one of them stands, or none (I6). */
  #keepBoth(
    { entry, stream, stored }: Absorbed,
    record: TelemetryRecord,
    first: Standing | undefined,
    policy: ConflictPolicy,
  ): void {
    const id = { gateway: stream.key.gateway, streamId: stream.id, seq: record.seq };
    const other = versionOf(entry, record);
    if (first && policy === 'last-write-wins') {
      this.#putAside(id, first.version, false);
      this.#takeOut(id, first);
      stored[1].push(record);
      this.#held.set(idText(id.streamId, id.seq), { version: other, list: stored[1] });
      return;
    }
    if (first && policy === 'quarantine') {
      this.#putAside(id, first.version, true);
      this.#takeOut(id, first);
      this.#held.delete(idText(id.streamId, id.seq));
      stream.state = withdraw(stream.state, [{ first: record.seq, last: record.seq }], 'quarantine');
    }
    this.#putAside(id, other, false);
  }

  #putAside({ gateway, streamId, seq }: StoredId, version: RecordVersion, standing: boolean): void {
    const id = idText(streamId, seq);
    this.#aside.set(id, [...(this.#aside.get(id) ?? []), version]);
    this.settled.aside.push({ gateway, streamId, seq, version, standing });
  }

  #takeOut(id: StoredId, { list }: Standing): void {
    if (list === null) this.settled.withdrawn.push(id);
    else {
      const at = list.findIndex(({ seq }) => seq === id.seq);
      list.splice(at, 1);
    }
  }
}

function versionOf(
  { source, receivedWallMs, sentAs = null }: LedgerEntry,
  record: TelemetryRecord,
): HeldVersion {
  const { device, topic, payload, monoMs } = record;
  return { device, topic, payload, monoMs, source, receivedWallMs, sentAs };
}
