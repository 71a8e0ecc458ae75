/** Removes records by age and size: whole arrivals, in bounded steps, the oldest hour first. */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { Retained } from '../maintenance.ts';
import { expired, type RetentionRules } from '../rules/retention.ts';
import type { Parts } from './log/blobs.ts';
import type { CommitEntry } from './log/commit-format.ts';
import { hourOfEntry, type LoggedVolume, LoggedVolumes } from './log/volumes.ts';
import { type RemovalParts, type RemovalPlan, removalEntry, removeRecords, standingOf } from './removal.ts';

/** Records after which a step takes no more commits. */
const RECORDS_PER_STEP = 2000;
/** Most commits that a step reads, whatever they hold. */
const COMMITS_PER_STEP = 256;

interface Expiring {
  entry: CommitEntry;
  /** The last offset before it. */
  offset: number;
}

interface RetentionPlan extends RemovalPlan {
  records: number;
}

export class Retention {
  readonly #parts: RemovalParts;
  readonly #volumes: LoggedVolumes;

  constructor(parts: RemovalParts) {
    this.#parts = parts;
    this.#volumes = new LoggedVolumes(parts.log);
  }

  async step(rules: RetentionRules, nowWallMs: number): Promise<Retained> {
    if (rules.length === 0) return { records: 0, more: false };
    await this.#parts.catchUp();
    if (!(await this.#volumes.follow())) return { records: 0, more: true };
    const volumes = this.#volumes.all();
    const [oldest] = expired(rules, volumes, nowWallMs);
    const volume = volumes.find((one) => one.stream === oldest?.stream && one.hour === oldest.hour);
    if (!volume) return { records: 0, more: false };
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
      let { offset } = next.commit;
      for (const entry of next.commit.entries) {
        const { size } = entry.fresh;
        const isMeant = entry.stream === volume.stream && hourOfEntry(next.commit, entry) === volume.hour;
        if (isMeant && size > 0) found.push({ entry, offset });
        if (isMeant) records += size;
        offset += size;
      }
      to = next.seq;
    }
    return { found, to };
  }

  async #plan(found: readonly Expiring[]): Promise<RetentionPlan> {
    const arrivals: Parts[] = [];
    const aside: number[] = [];
    const entries: CommitEntry[] = [];
    let records = 0;
    for (const { entry, offset } of found) {
      const item = await this.#parts.states.stream(entry);
      if (!item) continue;
      const { quarantine } = item.state.withdrawn;
      const standing = await standingOf(this.#parts.held, entry, offset);
      const gone = IntervalSet.empty();
      for (const { seq } of standing) if (!quarantine.has(seq)) gone.add(seq);
      const messages = item.aside.filter(({ seq }) => gone.has(seq)).map(({ message }) => message);
      // Includes arrivals of replaced records, which are never read.
      const parts = new Map([entry.parts, ...standing.map(({ place }) => place.parts)].map((p) => [p[0], p]));
      arrivals.push(...parts.values());
      aside.push(...messages);
      records += gone.size;
      if (gone.size === 0) continue;
      const left = {
        why: 'retention',
        ids: gone,
        gone,
        aside: messages,
        moved: IntervalSet.empty(),
      } as const;
      entries.push(removalEntry(entry, left));
    }
    return { entries, arrivals, aside, records };
  }
}
