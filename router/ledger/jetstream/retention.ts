/**
 * Removes records by age and size: whole arrivals, in bounded steps, the oldest hour first, or the oldest of
 * the gateways that hold too much.
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { Retained, StoredBytes } from '../maintenance.ts';
import {
  capsOfHolders,
  dueOf,
  HOLDERS_MAX,
  hourOf,
  type Overfull,
  type RetentionRules,
  storedBytes,
} from '../rules/retention.ts';
import type { Parts } from './log/blobs.ts';
import type { Commit, CommitEntry } from './log/commit-format.ts';
import { hourOfEntry, type LoggedVolume, LoggedVolumes } from './log/volumes.ts';
import {
  type RemovalParts,
  type RemovalPlan,
  removalEntry,
  removeRecords,
  type Standing,
  standingOf,
} from './removal.ts';

/** Records after which a step takes no more commits. */
const RECORDS_PER_STEP = 2000;
/** Most commits that a step reads, whatever they hold. */
const COMMITS_PER_STEP = 256;

interface Expiring {
  entry: CommitEntry;
  /** The last offset before it. */
  offset: number;
  /** Whether its bytes are in the gateway's share. */
  isShared: boolean;
}

interface RetentionPlan extends RemovalPlan {
  records: number;
}

/** The part of one gateway in a step. */
interface Giving {
  surplus: number;
  /** The commit from which on it keeps everything. */
  keepsFrom: number | null;
}

export class Retention {
  readonly #parts: RemovalParts;
  #volumes: LoggedVolumes;

  constructor(parts: RemovalParts) {
    this.#parts = parts;
    this.#volumes = new LoggedVolumes(parts.log, false);
  }

  async step(rules: RetentionRules, nowWallMs: number): Promise<Retained> {
    if (rules.length === 0) return { records: 0, more: false };
    await this.#parts.catchUp();
    const needsShares = rules.some(({ max_bytes }) => max_bytes !== undefined);
    if (needsShares && !this.#volumes.hasShares) this.#volumes = new LoggedVolumes(this.#parts.log, true);
    if (!(await this.#volumes.follow())) return { records: 0, more: true };
    const volumes = this.#volumes.all();
    const { leaving, overfull } = dueOf(rules, volumes, this.#volumes.shared(), nowWallMs);
    const [oldest] = leaving;
    if (oldest) return this.#leave(oldest.volume);
    for (const one of overfull) {
      const step = await this.#shrink(one, hourOf(nowWallMs));
      if (step !== null) return step;
    }
    this.#volumes.dropPassed();
    return { records: 0, more: false };
  }

  /** As of the last step; null where shares are not followed. */
  storedBytes(limit: number): StoredBytes | null {
    if (!this.#volumes.hasShares) return null;
    const gateways = this.#volumes.holders(null);
    return { total: gateways.reduce((sum, { bytes }) => sum + bytes, 0), gateways: gateways.slice(0, limit) };
  }

  async #leave(volume: LoggedVolume): Promise<Retained> {
    const { found, to } = await this.#next(volume);
    const { records } = await removeRecords(this.#parts, () => this.#plan(found));
    // Only after success: a failed step is repeated.
    this.#volumes.left(volume, to);
    return { records, more: true };
  }

  /** Entries of the volume, and the last commit read. */
  async #next(volume: LoggedVolume): Promise<{ found: Expiring[]; to: number }> {
    const found: Expiring[] = [];
    let records = 0;
    let to = volume.from - 1;
    for (let commits = 0; to < volume.to; commits += 1) {
      if (records >= RECORDS_PER_STEP || commits >= COMMITS_PER_STEP) break;
      const next = await this.#parts.log.at(to + 1);
      if (next === null || next.seq > volume.to) return { found, to: volume.to };
      for (const one of entriesOf(next.commit)) {
        const isOfHour = hourOfEntry(next.commit, one.entry) === volume.hour;
        if (one.entry.stream !== volume.stream || one.isShared !== volume.isShared || !isOfHour) continue;
        found.push(one);
        records += one.entry.fresh.size;
      }
      to = next.seq;
    }
    return { found, to };
  }

  /** The gateways that hold most give up their oldest before `hour`; null when none of them can. */
  async #shrink(overfull: Overfull, hour: number): Promise<Retained | null> {
    const { streams } = overfull;
    const largest = this.#volumes.holders(streams).slice(0, HOLDERS_MAX);
    const held = new Map(largest.map(({ gateway, bytes }) => [gateway, bytes]));
    const giving = new Map<string, Giving>();
    for (const { gateway, bytes } of capsOfHolders(largest, overfull)) {
      giving.set(gateway, { surplus: (held.get(gateway) ?? 0) - bytes, keepsFrom: null });
    }
    const froms = [...giving.keys()].flatMap((gateway) =>
      streams.map((stream) => this.#volumes.share(gateway, stream)?.from ?? Number.POSITIVE_INFINITY),
    );
    const from = Math.min(...froms);
    if (!Number.isFinite(from)) return null;
    const { found, to } = await this.#given(giving, { from, hour, streams });
    const { records } = await removeRecords(this.#parts, () => this.#plan(found));
    let moved = false;
    for (const [gateway, { keepsFrom }] of giving) {
      for (const stream of streams) {
        const share = this.#volumes.share(gateway, stream);
        const next = keepsFrom ?? to + 1;
        if (share === null || share.from >= next) continue;
        share.from = next;
        moved = true;
      }
    }
    return moved || records > 0 ? { records, more: true } : null;
  }

  /** The entries that the gateways give up, in one walk over the log, and the last commit read. */
  async #given(
    giving: ReadonlyMap<string, Giving>,
    { from, hour, streams }: { from: number; hour: number; streams: readonly string[] },
  ): Promise<{ found: Expiring[]; to: number }> {
    const found: Expiring[] = [];
    const names = new Set(streams);
    const end = this.#parts.log.head.seq;
    let records = 0;
    let keeping = 0;
    let to = from - 1;
    for (let commits = 0; to < end && keeping < giving.size; commits += 1) {
      if (records >= RECORDS_PER_STEP || commits >= COMMITS_PER_STEP) break;
      const next = await this.#parts.log.at(to + 1);
      if (next === null || next.seq > end) return { found, to: end };
      for (const one of entriesOf(next.commit)) {
        const { gateway, stream, fresh } = one.entry;
        const own = giving.get(gateway);
        if (!own || own.keepsFrom !== null || !one.isShared || !names.has(stream)) continue;
        if (own.surplus <= 0 || hourOfEntry(next.commit, one.entry) >= hour) {
          own.keepsFrom = next.seq;
          keeping += 1;
        } else if (!(await this.#hasLeft(one.entry))) {
          found.push(one);
          records += fresh.size;
          own.surplus -= one.entry.storedBytes;
        }
      }
      to = next.seq;
    }
    return { found, to };
  }

  /** Whether all records of the entry left by age or size. */
  async #hasLeft(entry: CommitEntry): Promise<boolean> {
    const item = await this.#parts.states.stream(entry);
    const retention = item?.state.withdrawn.retention ?? IntervalSet.empty();
    return retention.size > 0 && entry.fresh.difference(retention).size === 0;
  }

  async #plan(found: readonly Expiring[]): Promise<RetentionPlan> {
    const arrivals: Parts[] = [];
    const aside: number[] = [];
    const entries: CommitEntry[] = [];
    let records = 0;
    for (const one of found) {
      const { entry } = one;
      const item = await this.#parts.states.stream(entry);
      if (!item) continue;
      const { quarantine } = item.state.withdrawn;
      const standing = await standingOf(this.#parts.held, entry, one.offset);
      const gone = IntervalSet.empty();
      for (const { seq } of standing) if (!quarantine.has(seq)) gone.add(seq);
      const messages = item.aside.filter(({ seq }) => gone.has(seq)).map(({ message }) => message);
      // Includes arrivals of replaced records, which are never read.
      const parts = new Map([entry.parts, ...standing.map(({ place }) => place.parts)].map((p) => [p[0], p]));
      arrivals.push(...parts.values());
      aside.push(...messages);
      records += gone.size;
      const bytes = await this.#bytesOf(one, standing);
      if (gone.size === 0 && bytes === 0) continue;
      const moved = IntervalSet.empty();
      const left = { why: 'retention', ids: gone, gone, aside: messages, moved, bytes } as const;
      entries.push(removalEntry(entry, left));
    }
    return { entries, arrivals, aside, records };
  }

  /**
   * The bytes of the entry that are still in the gateway's share: those of its arrival. Replaced records are
   * in it until it is deleted.
   */
  async #bytesOf({ entry, isShared }: Expiring, standing: readonly Standing[]): Promise<number> {
    if (!isShared) return 0;
    const places = new Map(standing.map(({ place: { parts } }) => [parts[0], parts]));
    if (places.size === 1 && places.has(entry.parts[0])) return entry.storedBytes;
    // Nothing stands, or an erasure has stored the rest again.
    const parts = places.size === 0 ? [entry.parts] : [...places.values()];
    const rest = await Promise.all(parts.map((one) => this.#parts.arrivals.get(one)));
    return rest.reduce((sum, arrival) => sum + storedBytes(arrival?.records ?? []), 0);
  }
}

/** The entries of a commit that brought records, with their offsets. */
function entriesOf({ offset, entries, isShared }: Commit): Expiring[] {
  let before = offset;
  return entries.flatMap((entry) => {
    const one = { entry, offset: before, isShared };
    before += entry.fresh.size;
    return entry.fresh.size > 0 ? [one] : [];
  });
}
