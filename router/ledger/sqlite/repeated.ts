/**
 * Records whose ids are held already, in one SQLite transaction: judged by the rules, and what the stream's
 * policy makes of conflicts.
 */
import type { TelemetryRecord } from '../../../shared/record.ts';
import type { ConflictPolicy } from '../rules/conflict-policy.ts';
import { causeOf, countCause } from '../rules/repeat-cause.ts';
import { type Absorption, counted, judge, type StreamState, withdraw } from '../rules/rules.ts';
import type { CommitResult, LedgerEntry, RecordVersion } from '../types.ts';
import type { ConflictTable } from './conflicts.ts';
import type { RecordTable } from './records.ts';
import type { StoredStream } from './streams.ts';

export interface Settled {
  state: StreamState;
  duplicates: TelemetryRecord[];
  causes: CommitResult['causes'];
  inConflict: TelemetryRecord[];
  /** They stand in place of what was held, and are yet to be stored. */
  winners: TelemetryRecord[];
}

export class RepeatedRecords {
  readonly #records: RecordTable;
  readonly #conflicts: ConflictTable;

  constructor(records: RecordTable, conflicts: ConflictTable) {
    this.#records = records;
    this.#conflicts = conflicts;
  }

  /** After the fresh records of the same envelope are stored. */
  settle(
    entry: LedgerEntry,
    { id, state: before }: StoredStream,
    absorption: Absorption,
    policy: ConflictPolicy,
  ): Settled {
    const settled: Settled = {
      state: absorption.state,
      duplicates: [],
      causes: {},
      inConflict: [],
      winners: [],
    };
    const held = this.#records.held(id, absorption.repeated);
    const { quarantine, erasure } = before.withdrawn;
    for (const record of absorption.repeated) {
      const first = held.get(record.seq);
      const disputed = before.conflicts + settled.inConflict.length > 0;
      const aside = disputed ? this.#conflicts.versions(id, record.seq) : [];
      const known = first || quarantine.has(record.seq) ? [...(first ? [first] : []), ...aside] : [];
      // A version that was erased must not come back as one that is kept aside.
      if (!erasure.has(record.seq) && judge(record, known) === 'conflict') {
        settled.inConflict.push(record);
        this.#keepBoth(id, entry, record, first, policy, settled);
        continue;
      }
      settled.duplicates.push(record);
      countCause(settled.causes, causeOf(entry, first));
    }
    settled.state = counted(settled.state, settled.duplicates.length, settled.inConflict.length);
    return settled;
  }

  /** Both versions are somewhere for good before one of them stands, or none (I6). */
  #keepBoth(
    streamId: number,
    { source, receivedWallMs }: LedgerEntry,
    record: TelemetryRecord,
    first: RecordVersion | undefined,
    policy: ConflictPolicy,
    settled: Settled,
  ): void {
    const { seq, device, topic, payload, monoMs } = record;
    const other = { device, topic, payload, monoMs, source, receivedWallMs };
    if (first && policy === 'last-write-wins') {
      this.#conflicts.add(streamId, seq, first, false);
      this.#records.remove(streamId, seq);
      settled.winners.push(record);
      return;
    }
    if (first && policy === 'quarantine') {
      this.#conflicts.add(streamId, seq, first, true);
      this.#records.remove(streamId, seq);
      settled.state = withdraw(settled.state, [{ first: seq, last: seq }], 'quarantine');
    }
    this.#conflicts.add(streamId, seq, other, false);
  }
}
