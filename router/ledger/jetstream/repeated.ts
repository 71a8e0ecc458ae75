/**
 * Records whose ids came before: judged by the rules, and what the stream's policy makes of conflicts.
 * Changes nothing by itself.
 */
import type { TelemetryRecord } from '../../../shared/record.ts';
import type { ConflictPolicyOf } from '../rules/conflict-policy.ts';
import { causeOf, countCause } from '../rules/repeat-cause.ts';
import { type Absorption, EMPTY_STREAM, judge } from '../rules/rules.ts';
import type { CommitResult, HeldVersion, LedgerEntry, RecordVersion } from '../types.ts';
import type { ConflictStore } from './conflicts.ts';
import type { HeldVersions } from './held.ts';
import type { StreamItem } from './log/stream-fold.ts';

export interface Settled {
  duplicates: TelemetryRecord[];
  causes: CommitResult['causes'];
  inConflict: TelemetryRecord[];
  /** Versions to keep aside. */
  aside: { seq: number; version: RecordVersion; stood: boolean }[];
  /** They stand in place of what was held. */
  winners: TelemetryRecord[];
}

export interface Absorbing {
  entry: LedgerEntry;
  /** Of the stream's state. */
  subject: string;
  absorption: Absorption;
}

/** What is known of one id, as the entries before have left it. */
interface Known {
  held: HeldVersion | null;
  quarantined: boolean;
  /** A version of it was of a device that was erased. */
  erased: boolean;
  aside: RecordVersion[];
}

const UNKNOWN: Known = { held: null, quarantined: false, erased: false, aside: [] };

export class RepeatedRecords {
  readonly #held: HeldVersions;
  readonly #conflicts: ConflictStore;
  readonly #policyOf: ConflictPolicyOf;

  constructor(held: HeldVersions, conflicts: ConflictStore, policyOf: ConflictPolicyOf) {
    this.#held = held;
    this.#conflicts = conflicts;
    this.#policyOf = policyOf;
  }

  /**
   * In the order of `absorbing`, which come one after the other; `items`: the streams before the first of
   * them.
   */
  async settle(
    absorbing: readonly Absorbing[],
    items: ReadonlyMap<string, StreamItem | null>,
  ): Promise<Settled[]> {
    const known = await this.#known(absorbing, items);
    return absorbing.map(({ entry, subject, absorption }) => {
      const settled: Settled = {
        duplicates: [],
        causes: {},
        inConflict: [],
        aside: [],
        winners: [],
      };
      for (const record of absorption.fresh) {
        const one = known.get(idText(subject, record.seq));
        if (one) one.held = versionOf(entry, record);
      }
      for (const record of absorption.repeated) {
        this.#settleOne(entry, record, known.get(idText(subject, record.seq)) ?? UNKNOWN, settled);
      }
      return settled;
    });
  }

  #settleOne(entry: LedgerEntry, record: TelemetryRecord, known: Known, settled: Settled): void {
    const { held, quarantined, erased, aside } = known;
    const versions = held || quarantined ? [...(held ? [held] : []), ...aside] : [];
    // A version that was erased must not come back as one that is kept aside.
    if (erased || judge(record, versions) === 'duplicate') {
      settled.duplicates.push(record);
      countCause(settled.causes, causeOf(entry, held));
      return;
    }
    settled.inConflict.push(record);
    const { seq } = record;
    const other = versionOf(entry, record);
    const keep = (version: RecordVersion, stood: boolean): void => {
      settled.aside.push({ seq, version, stood });
      aside.push(version);
    };
    const policy = this.#policyOf(entry.envelope.stream);
    if (held && policy === 'last-write-wins') {
      keep(held, false);
      settled.winners.push(record);
      known.held = other;
      return;
    }
    if (held && policy === 'quarantine') {
      keep(held, true);
      known.held = null;
      known.quarantined = true;
    }
    keep(other, false);
  }

  /** By id, of all that are repeated. */
  async #known(
    absorbing: readonly Absorbing[],
    items: ReadonlyMap<string, StreamItem | null>,
  ): Promise<Map<string, Known>> {
    const ids = absorbing.flatMap(({ entry, subject, absorption }) =>
      absorption.repeated.map(({ seq }) => ({ key: entry.envelope, subject, seq })),
    );
    if (ids.length === 0) return new Map();
    const [versions, aside] = await Promise.all([this.#held.of(ids), this.#asideOf(ids, items)]);
    return new Map(
      ids.map(({ subject, seq }, i) => {
        const id = idText(subject, seq);
        const { quarantine, erasure } = (items.get(subject)?.state ?? EMPTY_STREAM).withdrawn;
        const quarantined = quarantine.has(seq);
        const held = quarantined ? null : (versions[i] ?? null);
        return [id, { held, quarantined, erased: erasure.has(seq), aside: aside.get(id) ?? [] }];
      }),
    );
  }

  /** The versions kept aside under each id, where there are any. */
  async #asideOf(
    ids: readonly { subject: string; seq: number }[],
    items: ReadonlyMap<string, StreamItem | null>,
  ): Promise<Map<string, RecordVersion[]>> {
    const wanted = new Map<number, string>();
    for (const { subject, seq } of ids) {
      for (const aside of items.get(subject)?.aside ?? []) {
        if (aside.seq === seq) wanted.set(aside.message, idText(subject, seq));
      }
    }
    const found = new Map<string, RecordVersion[]>();
    await Promise.all(
      Array.from(wanted, async ([message, id]) => {
        const version = await this.#conflicts.version(message);
        if (version) found.set(id, [...(found.get(id) ?? []), version]);
      }),
    );
    return found;
  }
}

function idText(subject: string, seq: number): string {
  return `${subject} ${seq}`;
}

function versionOf(
  { source, receivedWallMs, sentAs = null }: LedgerEntry,
  record: TelemetryRecord,
): HeldVersion {
  const { device, topic, payload, monoMs } = record;
  return { device, topic, payload, monoMs, source, receivedWallMs, sentAs };
}
