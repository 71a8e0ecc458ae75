/**
 * Records whose ids are held already, in one SQLite transaction: loads their versions, settles them by the
 * rule (rules/repeated.ts), and keeps them aside or deletes them.
 */
import type { ConflictPolicyOf } from '../rules/conflict-policy.ts';
import { NOTHING_REPEATED, RepeatedRecords, type Settled } from '../rules/repeated.ts';
import type { Absorption } from '../rules/rules.ts';
import type { LedgerEntry } from '../types.ts';
import type { ConflictTable } from './conflicts.ts';
import type { RecordTable } from './records.ts';
import type { StoredStream } from './streams.ts';

export class RepeatedTables {
  readonly #records: RecordTable;
  readonly #conflicts: ConflictTable;
  readonly #policyOf: ConflictPolicyOf;

  constructor(records: RecordTable, conflicts: ConflictTable, policyOf: ConflictPolicyOf) {
    this.#records = records;
    this.#conflicts = conflicts;
    this.#policyOf = policyOf;
  }

  /**
   * Runs after the fresh records of the same envelope are stored; the caller stores the winners. `before`:
   * the stream without the envelope.
   */
  settle(entry: LedgerEntry, { id, state: before }: StoredStream, absorption: Absorption): Settled {
    const { repeated } = absorption;
    if (repeated.length === 0) return NOTHING_REPEATED;
    const rule = new RepeatedRecords<number>(this.#policyOf);
    const held = this.#records.held(id, repeated);
    for (const { seq } of repeated) {
      const aside = before.conflicts > 0 ? this.#conflicts.versions(id, seq) : [];
      rule.know(id, before, seq, { held: held.get(seq) ?? null, aside });
    }
    const settled = rule.settle(id, entry, absorption);
    for (const aside of settled.aside) this.#conflicts.add(id, entry.envelope.gateway, aside);
    for (const seq of settled.displaced) this.#records.remove(id, seq);
    for (const seq of settled.reinstated) this.#conflicts.standsNoMore(id, seq);
    return settled;
  }
}
