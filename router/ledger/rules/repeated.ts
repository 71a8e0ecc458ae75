/**
 * The one rule for records whose ids came before: it decides which are duplicates, which are in conflict, and
 * which version stands afterwards by the stream's policy (I5, I6). Engines load the versions of the ids and
 * store the decisions; no engine decides by itself.
 *
 * A verified version stands against an unverified one under every policy, whichever came first; the other is
 * kept aside. The policies decide between versions of equal standing.
 */
import type { SeqRange, TelemetryRecord } from '../../../shared/record.ts';
import type { HeldVersion, LedgerEntry, RecordContent, RecordVersion } from '../types.ts';
import type { ConflictPolicyOf } from './conflict-policy.ts';
import type { Judged } from './outcome.ts';
import { causeOf, countCause } from './repeat-cause.ts';
import {
  type Absorption,
  counted,
  judge,
  reinstated,
  type StreamState,
  sameContent,
  withdraw,
} from './rules.ts';

/**
 * Most versions of one id that are kept aside for unverified envelopes (I10); further ones are dropped, and
 * count as duplicates.
 */
const UNVERIFIED_ASIDE_MAX = 8;

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
  /** Records that replace the displaced ones, or stand again, at new offsets. */
  winners: readonly TelemetryRecord[];
  /** The ids of `winners` under which no record stood: in quarantine, or removed by age or size. */
  reinstated: readonly number[];
  /** Records where a verified and an unverified version differ. */
  disputed: number;
}

export const NOTHING_REPEATED: Settled = {
  duplicates: [],
  causes: {},
  inConflict: [],
  aside: [],
  displaced: [],
  quarantined: [],
  winners: [],
  reinstated: [],
  disputed: 0,
};

/** One id, after the entries settled so far. */
interface Id {
  held: HeldVersion | null;
  aside: RecordContent[];
  isQuarantined: boolean;
  isErased: boolean;
  /** No verified envelope has brought it. */
  isUnverified: boolean;
}

/** An entry being settled. */
interface Settling {
  reinstated: Set<number>;
  disputed: number;
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
  know(stream: Stream, { withdrawn, proof }: StreamState, seq: number, { held, aside }: KnownId): void {
    const ids = this.#streams.get(stream) ?? new Map<number, Id>();
    this.#streams.set(stream, ids);
    const isQuarantined = withdrawn.quarantine.has(seq);
    ids.set(seq, {
      held: isQuarantined ? null : held,
      aside: [...aside],
      isQuarantined,
      isErased: withdrawn.erasure.has(seq),
      isUnverified: proof.unverified.has(seq),
    });
  }

  settle(stream: Stream, entry: LedgerEntry, { fresh, repeated }: Absorption): Settled {
    const ids = this.#streams.get(stream);
    if (ids) {
      for (const record of fresh) {
        const id = ids.get(record.seq);
        if (id) [id.held, id.isUnverified] = [versionOf(entry, record), !entry.verified];
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
      reinstated: new Set(),
      disputed: 0,
    };
    for (const record of repeated) {
      const id = ids?.get(record.seq);
      if (!id) throw new Error(`id ${record.seq} is repeated, and was not loaded`);
      this.#settleOne(entry, record, id, settling);
    }
    const { displaced, winners, reinstated: again, ...rest } = settling;
    return {
      ...rest,
      displaced: [...displaced],
      winners: [...winners.values()],
      reinstated: [...again],
    };
  }

  #settleOne(entry: LedgerEntry, record: TelemetryRecord, id: Id, settling: Settling): void {
    const isFirstProof = entry.verified && id.isUnverified;
    if (isFirstProof) id.isUnverified = false;
    if (isFirstProof && !id.isErased && !(id.held && sameContent(id.held, record)))
      this.#replace(entry, record, id, settling);
    else this.#judge(entry, record, id, settling);
  }

  /** The first verified version of an id takes the place of whatever stands there. */
  #replace(entry: LedgerEntry, record: TelemetryRecord, id: Id, settling: Settling): void {
    const { held } = id;
    const { seq } = record;
    if (held) {
      settling.inConflict.push(record);
      settling.disputed += 1;
      displace(seq, id, held, settling);
    } else {
      settling.duplicates.push(record);
      countCause(settling.causes, causeOf(entry, null));
      settling.reinstated.add(seq);
    }
    settling.winners.set(seq, record);
    id.held = versionOf(entry, record);
    id.isQuarantined = false;
  }

  #judge(entry: LedgerEntry, record: TelemetryRecord, id: Id, settling: Settling): void {
    const { held, aside } = id;
    const versions = held || id.isQuarantined ? [...(held ? [held] : []), ...aside] : [];
    // An erased version must not come back as a version kept aside.
    const isOneTooMany = !entry.verified && aside.length >= UNVERIFIED_ASIDE_MAX;
    if (id.isErased || isOneTooMany || judge(record, versions) === 'duplicate') {
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
    if (!entry.verified && !id.isUnverified) {
      settling.disputed += 1;
      keep(other, false);
      return;
    }
    if (held && policy === 'last-write-wins') {
      displace(seq, id, held, settling);
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

/** Keeps the standing version aside: another takes its place. */
function displace(seq: number, { aside }: Id, held: HeldVersion, settling: Settling): void {
  settling.aside.push({ seq, version: held, stood: false });
  aside.push(held);
  // A winner of this entry is not stored yet: the next winner simply replaces it.
  if (!settling.winners.delete(seq)) settling.displaced.add(seq);
}

/**
 * `state` (after `absorb`) with the settled records: the counters, the ids now in quarantine, and those that
 * stand again.
 */
export function stateAfter(
  state: StreamState,
  { duplicates, inConflict, quarantined, reinstated: again }: Settled,
): StreamState {
  const inQuarantine = quarantined.length === 0 ? state : withdraw(state, idsOf(quarantined), 'quarantine');
  const standing = again.length === 0 ? inQuarantine : reinstated(inQuarantine, idsOf(again));
  return counted(standing, duplicates.length, inConflict.length);
}

function idsOf(seqs: readonly number[]): SeqRange[] {
  return seqs.map((seq) => ({ first: seq, last: seq }));
}

function versionOf(
  { source, receivedWallMs, sentAs = null }: LedgerEntry,
  record: TelemetryRecord,
): HeldVersion {
  const { device, topic, payload, monoMs } = record;
  return { device, topic, payload, monoMs, source, receivedWallMs, sentAs };
}
