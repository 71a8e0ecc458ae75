/**
 * The volume of each stream name and hour, and the share of each gateway and stream name, with the commits
 * that hold them: read from the log, from its beginning after a start and then continuously, in steps of some
 * commits. The hour is that of the commit's contact with the gateway: records of one commit arrived together.
 *
 * A share is what all commits with shares brought, less what all removals say that they took: every router
 * comes to the same one. Commits from before there were shares make volumes of their own.
 */
import { type Holder, hourOf, type Volume } from '../../rules/retention.ts';
import type { Commit, CommitEntry } from './commit-format.ts';
import type { CommitLog } from './log.ts';

/** The volume of one stream name and hour; its commits are between `from` and `to`. */
export interface LoggedVolume extends Volume {
  from: number;
  to: number;
  /** Of commits with shares, or of those without. */
  isShared: boolean;
}

/** The bytes of one gateway and stream name. */
export interface LoggedShare {
  bytes: number;
  /** All its records are in this commit or after. */
  from: number;
}

/** Concurrent reads of commits, and commits per step. */
const READ_WIDTH = 64;
const STEP_COMMITS = 64 * READ_WIDTH;

export class LoggedVolumes {
  /** Whether it follows shares, and not volumes alone. */
  readonly hasShares: boolean;
  readonly #log: Pick<CommitLog, 'head' | 'at'>;
  readonly #volumes = new Map<string, LoggedVolume>();
  /** By gateway, and by stream name. */
  readonly #shares = new Map<string, Map<string, LoggedShare>>();
  #next = 1;

  constructor(log: Pick<CommitLog, 'head' | 'at'>, hasShares: boolean) {
    this.#log = log;
    this.hasShares = hasShares;
  }

  /** Reads one step; returns whether the end of the log was reached. */
  async follow(): Promise<boolean> {
    const end = this.#log.head.seq;
    for (let read = 0; this.#next <= end; read += READ_WIDTH) {
      if (read >= STEP_COMMITS) return false;
      const from = this.#next;
      const to = Math.min(end, from + READ_WIDTH - 1);
      const found = await Promise.all(
        Array.from({ length: to - from + 1 }, (_, i) => this.#log.at(from + i)),
      );
      const commits = new Map(found.flatMap((one) => (one === null ? [] : [[one.seq, one.commit]])));
      // Where the servers skipped sequences, each of them yields the first commit behind them.
      for (const [seq, commit] of commits) if (seq <= to) this.#add(commit, seq);
      this.#next = to + 1;
    }
    return true;
  }

  all(): LoggedVolume[] {
    return [...this.#volumes.values()];
  }

  /** The bytes of all shares, by stream name. */
  shared(): Map<string, number> {
    const shared = new Map<string, number>();
    for (const shares of this.#shares.values()) {
      for (const [stream, { bytes }] of shares) shared.set(stream, (shared.get(stream) ?? 0) + bytes);
    }
    return shared;
  }

  /** The holders of `streams`, the largest first. Null: of all streams. */
  holders(streams: readonly string[] | null): Holder[] {
    const holders = Array.from(this.#shares, ([gateway, shares]) => {
      const own = streams === null ? [...shares.values()] : streams.map((stream) => shares.get(stream));
      return { gateway, bytes: own.reduce((sum, share) => sum + (share?.bytes ?? 0), 0) };
    });
    return holders.filter(({ bytes }) => bytes > 0).sort((a, b) => b.bytes - a.bytes);
  }

  share(gateway: string, stream: string): LoggedShare | null {
    return this.#shares.get(gateway)?.get(stream) ?? null;
  }

  /** Drops the volume if all of it up to the commit at `to` has left. */
  left(volume: LoggedVolume, to: number): void {
    if (to >= volume.to) this.#volumes.delete(nameOf(volume));
    else volume.from = to + 1;
  }

  /** Drops the volumes of which no share holds anything. */
  dropPassed(): void {
    if (!this.hasShares) return;
    const froms = new Map<string, number>();
    for (const shares of this.#shares.values()) {
      for (const [stream, { from }] of shares) {
        froms.set(stream, Math.min(from, froms.get(stream) ?? Number.POSITIVE_INFINITY));
      }
    }
    for (const [name, { isShared, stream, to }] of this.#volumes) {
      if (isShared && to < (froms.get(stream) ?? Number.POSITIVE_INFINITY)) this.#volumes.delete(name);
    }
  }

  #add(commit: Commit, seq: number): void {
    const { isShared } = commit;
    for (const entry of commit.entries) {
      const { gateway, stream, storedBytes, removal } = entry;
      if (this.hasShares && isShared) this.#count(gateway, stream, seq, storedBytes - (removal?.bytes ?? 0));
      if (entry.fresh.size === 0) continue;
      const hour = hourOfEntry(commit, entry);
      const volume = { stream, hour, isShared, bytes: 0, unshared: 0, from: seq, to: seq };
      const known = this.#volumes.get(nameOf(volume)) ?? volume;
      known.bytes += storedBytes;
      known.unshared += isShared ? 0 : storedBytes;
      known.to = seq;
      this.#volumes.set(nameOf(volume), known);
    }
  }

  #count(gateway: string, stream: string, seq: number, bytes: number): void {
    const known = this.share(gateway, stream);
    if (known === null && bytes <= 0) return;
    const shares = this.#shares.get(gateway) ?? new Map<string, LoggedShare>();
    const share = known ?? { bytes: 0, from: seq };
    share.bytes = Math.max(0, share.bytes + bytes);
    if (share.bytes > 0) shares.set(stream, share);
    else shares.delete(stream);
    if (shares.size > 0) this.#shares.set(gateway, shares);
    else this.#shares.delete(gateway);
  }
}

/** The latest contact with the gateway counts, so that a record stays rather too long than too short. */
export function hourOfEntry({ contacts }: Commit, { gateway }: CommitEntry): number {
  let lastWallMs = 0;
  for (const contact of contacts) {
    if (contact.gateway === gateway) lastWallMs = Math.max(lastWallMs, contact.lastWallMs);
  }
  return hourOf(lastWallMs);
}

function nameOf({ stream, hour, isShared }: Pick<LoggedVolume, 'stream' | 'hour' | 'isShared'>): string {
  return `${hour}/${isShared}/${stream}`;
}
