/**
 * Loads the stored versions of repeated records for the rule (rules/repeated.ts), which decides about them.
 * Changes nothing.
 */
import type { StreamKey } from '../../../shared/record.ts';
import type { ConflictPolicyOf } from '../rules/conflict-policy.ts';
import { RepeatedRecords, type Settled } from '../rules/repeated.ts';
import { type Absorption, EMPTY_STREAM } from '../rules/rules.ts';
import type { LedgerEntry, RecordVersion } from '../types.ts';
import type { ConflictStore } from './conflicts.ts';
import type { HeldVersions } from './held.ts';
import type { Aside } from './log/commit-format.ts';
import type { StreamItem } from './log/stream-fold.ts';

export interface Absorbing {
  entry: LedgerEntry;
  /** The subject of the stream's state. */
  subject: string;
  absorption: Absorption;
}

export class RepeatedVersions {
  readonly #held: HeldVersions;
  readonly #conflicts: ConflictStore;
  readonly #policyOf: ConflictPolicyOf;

  constructor(held: HeldVersions, conflicts: ConflictStore, policyOf: ConflictPolicyOf) {
    this.#held = held;
    this.#conflicts = conflicts;
    this.#policyOf = policyOf;
  }

  /** In the order of `absorbing`, which follow each other; `items`: the streams before the first of them. */
  async settle(
    absorbing: readonly Absorbing[],
    items: ReadonlyMap<string, StreamItem | null>,
  ): Promise<Settled[]> {
    const records = new RepeatedRecords<string>(this.#policyOf);
    await this.#load(records, absorbing, items);
    return absorbing.map(({ entry, subject, absorption }) => records.settle(subject, entry, absorption));
  }

  async #load(
    records: RepeatedRecords<string>,
    absorbing: readonly Absorbing[],
    items: ReadonlyMap<string, StreamItem | null>,
  ): Promise<void> {
    const ids = absorbing.flatMap(({ entry, subject, absorption }) =>
      absorption.repeated.map(({ seq }) => ({ key: entry.envelope, subject, seq })),
    );
    if (ids.length === 0) return;
    const [held, aside] = await Promise.all([this.#held.of(ids), this.#asideOf(ids, items)]);
    for (const [i, { subject, seq }] of ids.entries()) {
      const state = items.get(subject)?.state ?? EMPTY_STREAM;
      const known = { held: held[i] ?? null, aside: aside.get(idText(subject, seq)) ?? [] };
      records.know(subject, state, seq, known);
    }
  }

  /** The versions kept aside under each id with any. */
  async #asideOf(
    ids: readonly { key: StreamKey; subject: string; seq: number }[],
    items: ReadonlyMap<string, StreamItem | null>,
  ): Promise<Map<string, RecordVersion[]>> {
    const wanted = new Map<number, { key: StreamKey; aside: Aside; id: string }>();
    for (const { key, subject, seq } of ids) {
      for (const aside of items.get(subject)?.aside ?? []) {
        if (aside.seq === seq) wanted.set(aside.message, { key, aside, id: idText(subject, seq) });
      }
    }
    const found = new Map<string, RecordVersion[]>();
    await Promise.all(
      Array.from(wanted.values(), async ({ key, aside, id }) => {
        const version = await this.#conflicts.version(key, aside);
        if (version) found.set(id, [...(found.get(id) ?? []), version]);
      }),
    );
    return found;
  }
}

function idText(subject: string, seq: number): string {
  return `${subject} ${seq}`;
}
