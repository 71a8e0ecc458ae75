/**
 * Records of one commit whose ids are held already: loads their versions, settles them by the rule
 * (rules/repeated.ts), and passes the result to the tables. A held version is in the table, or is a record
 * that an earlier entry of the same commit is about to store.
 */
import type { TelemetryRecord } from '../../../shared/record.ts';
import type { ConflictPolicyOf } from '../rules/conflict-policy.ts';
import { committed } from '../rules/outcome.ts';
import { NOTHING_REPEATED, RepeatedRecords, type Settled, stateAfter } from '../rules/repeated.ts';
import type { Absorption } from '../rules/rules.ts';
import type { CommitResult, LedgerEntry } from '../types.ts';
import { repetitionsOf } from '../whereabouts.ts';
import type { Queryable } from './connection.ts';
import { type Aside, asideVersions } from './evidence.ts';
import { heldVersions } from './held.ts';
import { idText, type StoredId } from './records.ts';
import type { LockedStream } from './streams.ts';
import type { StoredRepetition } from './whereabouts.ts';

/** One entry after the rules. */
export interface Absorbed {
  entry: LedgerEntry;
  stream: LockedStream;
  absorption: Absorption;
  settled: Settled;
  result: CommitResult;
  /** Stored with this entry: its new records, and the records that replaced others. */
  stored: [fresh: TelemetryRecord[], winners: TelemetryRecord[]];
}

/** The changes of the tables for a commit's repeated records. */
export interface Repeats {
  /** Versions to keep aside. */
  aside: Aside[];
  /** Records in the table that no longer stand. */
  displaced: StoredId[];
  /** Ids whose versions aside include none that stood any more. */
  reinstated: StoredId[];
  repetitions: StoredRepetition[];
}

/** An entry before its repeated records are settled. */
export function unsettled(stream: LockedStream, entry: LedgerEntry, absorption: Absorption): Absorbed {
  const result = committed(absorption, NOTHING_REPEATED);
  // Copied: a later entry of the same commit may replace a record.
  const stored: Absorbed['stored'] = [[...absorption.fresh], []];
  return { entry, stream, absorption, settled: NOTHING_REPEATED, result, stored };
}

/** Writes the settled records into the results and the streams' states. */
export async function settleRepeated(
  client: Queryable,
  absorbed: readonly Absorbed[],
  policyOf: ConflictPolicyOf,
): Promise<Repeats> {
  const repeats: Repeats = { aside: [], displaced: [], reinstated: [], repetitions: [] };
  const records = await loadRepeated(client, absorbed, policyOf);
  if (records === null) return repeats;
  for (const one of absorbed) {
    const { entry, stream, absorption, stored } = one;
    const settled = records.settle(stream.id, entry, absorption);
    stream.state = stateAfter(stream.state, settled);
    one.settled = settled;
    one.result = committed(absorption, settled);
    const place = { gateway: stream.key.gateway, streamId: stream.id };
    for (const { seq, version, stood } of settled.aside)
      repeats.aside.push({ ...place, seq, version, stood });
    for (const seq of settled.displaced) {
      if (!leaveOut(absorbed, stream, seq)) repeats.displaced.push({ ...place, seq });
    }
    for (const seq of settled.reinstated) repeats.reinstated.push({ ...place, seq });
    stored[1].push(...settled.winners);
    for (const run of repetitionsOf(entry, one.result)) repeats.repetitions.push({ ...place, ...run });
  }
  return repeats;
}

/** Null when no id is repeated. */
async function loadRepeated(
  client: Queryable,
  absorbed: readonly Absorbed[],
  policyOf: ConflictPolicyOf,
): Promise<RepeatedRecords<number> | null> {
  const ids = absorbed.flatMap(({ stream, absorption }): (StoredId & Pick<Absorbed, 'stream'>)[] =>
    absorption.repeated.map(({ seq }) => ({
      gateway: stream.key.gateway,
      streamId: stream.id,
      seq,
      stream,
    })),
  );
  if (ids.length === 0) return null;
  const held = await heldVersions(client, ids);
  const disputed = ids.filter(({ stream }) => stream.state.conflicts > 0);
  const aside = await asideVersions(client, disputed);
  const records = new RepeatedRecords<number>(policyOf);
  for (const { stream, streamId, seq } of ids) {
    const id = idText(streamId, seq);
    const known = { held: held.get(id) ?? null, aside: aside.get(id) ?? [] };
    records.know(streamId, stream.before, seq, known);
  }
  return records;
}

/** Removes a record that is to be stored with the same commit; false when there is none. */
function leaveOut(absorbed: readonly Absorbed[], stream: LockedStream, seq: number): boolean {
  for (const { stored } of absorbed.filter((one) => one.stream === stream)) {
    for (const records of stored) {
      const at = records.findIndex((record) => record.seq === seq);
      if (at < 0) continue;
      records.splice(at, 1);
      return true;
    }
  }
  return false;
}
