/**
 * The one rule for records whose ids came before: it decides which are duplicates, which are in conflict, and
 * which version stands afterwards by the stream's policy (I5, I6). Engines load the versions of the ids and
 * store the decisions; no engine decides by itself.
 */
import type { TelemetryRecord } from '../../../shared/record.ts';
import type { HeldVersion, LedgerEntry, RecordContent, RecordVersion } from '../types.ts';
import type { ConflictPolicyOf } from './conflict-policy.ts';
import type { Judged } from './outcome.ts';
import { causeOf, countCause } from './repeat-cause.ts';
import { type Absorption, counted, judge, type StreamState, withdraw } from './rules.ts';

/** The ledger's versions of one id, before the first of the settled entries. */
export interface KnownId {
  /** Null when no version stands: never stored, removed, or in quarantine. */
  held: HeldVersion | null;
  /** Versions kept aside. */
  aside: readonly RecordContent[];
}

/** A version to keep aside. */
export interface AsideVersion {
  seq: number;
  version: RecordVersion;
  /** The version stood in the ledger until this conflict put its id into quarantine. */
  stood: boolean;
}

/** The decisions about the repeated records of one entry. */
export interface Settled extends Judged {
  /** In the order of storing. */
  aside: readonly AsideVersion[];
  /** Ids whose record, from an earlier entry or fresh in this one, no longer stands. */
  displaced: readonly number[];
  /** The ids of `displaced` under which no record stands any more. */
  quarantined: readonly number[];
  /** Records that replace the displaced ones, at new offsets. */
  winners: readonly TelemetryRecord[];
}

export const NOTHING_REPEATED: Settled = {
  duplicates: [],
  causes: {},
  inConflict: [],
  aside: [],
  displaced: [],
  quarantined: [],
  winners: [],
};

/** One id, after the entries settled so far. */
interface Id {
  held: HeldVersion | null;
  aside: RecordContent[];
  isQuarantined: boolean;
  isErased: boolean;
}

/** An entry being settled. */
interface Settling {
  duplicates: TelemetryRecord[];
  causes: Judged['causes'];
  inConflict: TelemetryRecord[];
  aside: AsideVersion[];
  displaced: Set<number>;
  quarantined: number[];
  winners: Map<number, TelemetryRecord>;
}

/** Settles the entries of one commit, one after the other. */
export class RepeatedRecords<Stream extends string | number> {
  readonly #policyOf: ConflictPolicyOf;
  readonly #streams = new Map<Stream, Map<number, Id>>();

  constructor(policyOf: ConflictPolicyOf) {
    this.#policyOf = policyOf;
  }

  /** Takes the loaded versions of each repeated id of the commit; `state`: the stream before the commit. */
  know(stream: Stream, { withdrawn }: StreamState, seq: number, { held, aside }: KnownId): void {
    const ids = this.#streams.get(stream) ?? new Map<number, Id>();
    this.#streams.set(stream, ids);
    const isQuarantined = withdrawn.quarantine.has(seq);
    ids.set(seq, {
      held: isQuarantined ? null : held,
      aside: [...aside],
      isQuarantined,
      isErased: withdrawn.erasure.has(seq),
    });
  }

  settle(stream: Stream, entry: LedgerEntry, { fresh, repeated }: Absorption): Settled {
    const ids = this.#streams.get(stream);
    if (ids) {
      for (const record of fresh) {
        const id = ids.get(record.seq);
        if (id) id.held = versionOf(entry, record);
      }
    }
    if (repeated.length === 0) return NOTHING_REPEATED;
    const settling: Settling = {
      duplicates: [],
      causes: {},
      inConflict: [],
      aside: [],
      displaced: new Set(),
      quarantined: [],
      winners: new Map(),
    };
    for (const record of repeated) {
      const id = ids?.get(record.seq);
      if (!id) throw new Error(`id ${record.seq} is repeated, and was not loaded`);
      this.#settleOne(entry, record, id, settling);
    }
    const { displaced, winners, ...rest } = settling;
    return { ...rest, displaced: [...displaced], winners: [...winners.values()] };
  }

  #settleOne(entry: LedgerEntry, record: TelemetryRecord, id: Id, settling: Settling): void {
    const { held, aside } = id;
    const versions = held || id.isQuarantined ? [...(held ? [held] : []), ...aside] : [];
    // An erased version must not come back as a version kept aside.
    if (id.isErased || judge(record, versions) === 'duplicate') {
      settling.duplicates.push(record);
      countCause(settling.causes, causeOf(entry, held));
      return;
    }
    settling.inConflict.push(record);
    const { seq } = record;
    const keep = (version: RecordVersion, stood: boolean): void => {
      settling.aside.push({ seq, version, stood });
      aside.push(version);
    };
    const policy = this.#policyOf(entry.envelope.stream);
    const other = versionOf(entry, record);
    if (held && policy === 'last-write-wins') {
      keep(held, false);
      // A winner of this entry is not stored yet: the next winner simply replaces it.
      if (!settling.winners.delete(seq)) settling.displaced.add(seq);
      settling.winners.set(seq, record);
      id.held = other;
      return;
    }
    if (held && policy === 'quarantine') {
      keep(held, true);
      settling.displaced.add(seq);
      settling.quarantined.push(seq);
      id.held = null;
      id.isQuarantined = true;
    }
    keep(other, false);
  }
}

/** `state` (after `absorb`) with the settled records: the counters, and the ids now in quarantine. */
export function stateAfter(
  state: StreamState,
  { duplicates, inConflict, quarantined }: Settled,
): StreamState {
  const ids = quarantined.map((seq) => ({ first: seq, last: seq }));
  const withdrawn = ids.length === 0 ? state : withdraw(state, ids, 'quarantine');
  return counted(withdrawn, duplicates.length, inConflict.length);
}

function versionOf(
  { source, receivedWallMs, sentAs = null }: LedgerEntry,
  record: TelemetryRecord,
): HeldVersion {
  const { device, topic, payload, monoMs } = record;
  return { device, topic, payload, monoMs, source, receivedWallMs, sentAs };
}
