/**
 * Erasing a device: the log names every arrival, and each arrival with a record of the device is stored again
 * without it (removal.ts). Records that a losing commit had stored are in no log, and are not found.
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import { storedBytes } from '../rules/retention.ts';
import type { ErasureTarget } from '../types.ts';
import type { Arrival } from './arrival-format.ts';
import type { Parts } from './log/blobs.ts';
import type { Commit, CommitEntry } from './log/commit-format.ts';
import type { StreamItem } from './log/stream-fold.ts';
import type { Names } from './names.ts';
import { idsOf, type RemovalParts, type RemovalPlan, removalEntry, removeRecords } from './removal.ts';

/** Concurrent reads of arrivals. */
const READ_WIDTH = 64;

/** The result of one step. */
export interface Erased {
  records: number;
  versions: number;
}

type ErasePlan = RemovalPlan & Erased;

interface Holding {
  entry: CommitEntry;
  arrival: Arrival;
  /** Whether its bytes are in the gateway's share. */
  isShared: boolean;
}

export class DeviceEraser {
  readonly #parts: RemovalParts;
  readonly #names: Names;

  constructor(parts: RemovalParts, names: Names) {
    this.#parts = parts;
    this.#names = names;
  }

  /** Erases all records committed before the call; yields the result of each step. */
  async *erase({ device, gateway }: ErasureTarget): AsyncGenerator<Erased> {
    const { log, catchUp } = this.#parts;
    await catchUp();
    const end = log.head.seq;
    for (let next = await log.at(1); next !== null && next.seq <= end; next = await log.at(next.seq + 1)) {
      const holding = await this.#holding(next.commit, device, gateway);
      if (holding.length > 0) yield removeRecords(this.#parts, () => this.#plan(holding, device));
    }
    const { states } = this.#parts;
    const items = await states.streams.all(this.#names.streams(gateway ?? undefined), states.head);
    for (const { item } of items) {
      if (item.aside.length > 0) yield removeRecords(this.#parts, () => this.#planAside(item, device));
    }
  }

  /** The entries of a commit whose arrival holds a record of the device. */
  async #holding({ entries, isShared }: Commit, device: string, gateway: string | null): Promise<Holding[]> {
    const meant = entries.filter(
      (entry) => entry.parts.length > 0 && (gateway === null || entry.gateway === gateway),
    );
    const found: Holding[] = [];
    for (let i = 0; i < meant.length; i += READ_WIDTH) {
      const some = meant.slice(i, i + READ_WIDTH);
      const arrivals = await Promise.all(some.map(({ parts }) => this.#parts.arrivals.get(parts)));
      for (const [n, entry] of some.entries()) {
        const arrival = arrivals[n];
        if (!arrival?.records.some((record) => record.device === device)) continue;
        // Moved records are in a share as they were before.
        const wasShared = entry.removal === null ? isShared : entry.removal.bytes > 0;
        found.push({ entry, arrival, isShared: wasShared });
      }
    }
    return found;
  }

  async #plan(holding: readonly Holding[], device: string): Promise<ErasePlan> {
    const plans = await Promise.all(holding.map((one) => this.#planArrival(one, device)));
    const records = plans.reduce((sum, plan) => sum + plan.records, 0);
    return {
      entries: plans.flatMap(({ entry }) => (entry ? [entry] : [])),
      arrivals: holding.map(({ entry }) => entry.parts),
      aside: [],
      records,
      versions: 0,
    };
  }

  /** `entry` is null when no standing record lies in the arrival. */
  async #planArrival(
    { entry, arrival, isShared }: Holding,
    device: string,
  ): Promise<{ entry: CommitEntry | null; records: number }> {
    const places = await this.#parts.held.places(arrival.records.map(({ seq }) => ({ key: entry, seq })));
    const standing = arrival.records.filter((_, i) => places[i]?.parts[0] === entry.parts[0]);
    const gone = idsOf(standing.filter((record) => record.device === device).map(({ seq }) => seq));
    const kept = standing.filter((record) => record.device !== device);
    if (standing.length === 0) return { entry: null, records: 0 };
    const parts: Parts =
      kept.length === 0 ? [] : await this.#parts.arrivals.store(entry, { ...arrival, records: kept });
    const moved = idsOf(kept.map(({ seq }) => seq));
    const item = await this.#parts.states.stream(entry);
    const quarantined = item ? gone.size - gone.difference(item.state.withdrawn.quarantine).size : 0;
    // The other records of the arrival that do not stand leave with it.
    const bytes = isShared ? storedBytes(arrival.records) - storedBytes(kept) : 0;
    const left = { why: 'erasure', ids: gone, gone, aside: [], moved, bytes } as const;
    return { entry: removalEntry(entry, left, parts), records: gone.size - quarantined };
  }

  /** The device's versions that are kept aside. */
  async #planAside(key: StreamItem, device: string): Promise<ErasePlan> {
    const item = await this.#parts.states.stream(key);
    const versions = await Promise.all(
      (item?.aside ?? []).map(async (aside) => ({
        ...aside,
        version: await this.#parts.conflicts.version(key, aside),
      })),
    );
    const meant = versions.filter(({ version }) => version?.device === device);
    const none = { arrivals: [], records: 0, versions: meant.length };
    if (meant.length === 0) return { ...none, entries: [], aside: [] };
    const aside = meant.map(({ message }) => message);
    const ids = idsOf(meant.map(({ seq }) => seq));
    const empty = IntervalSet.empty();
    // A version that stood before a quarantine must not stand again because this erasure ends the quarantine.
    const gone = item ? ids.difference(ids.difference(item.state.withdrawn.quarantine)) : empty;
    const left = { why: 'erasure', ids, gone, aside, moved: empty, bytes: 0 } as const;
    return { ...none, entries: [removalEntry(key, left)], aside };
  }
}
