/**
 * The volume of each stream name and hour, and the commits that hold it: read from the log, from its
 * beginning after a start and then continuously, in steps of some commits. The hour is that of the commit's
 * contact with the gateway: records of one commit arrived together.
 */
import { hourOf, type Volume } from '../../rules/retention.ts';
import type { Commit, CommitEntry } from './commit-format.ts';
import type { CommitLog } from './log.ts';

/** The volume of one stream name and hour; its commits are between `from` and `to`. */
export interface LoggedVolume extends Volume {
  from: number;
  to: number;
}

/** Concurrent reads of commits, and commits per step. */
const READ_WIDTH = 64;
const STEP_COMMITS = 64 * READ_WIDTH;

export class LoggedVolumes {
  readonly #log: CommitLog;
  readonly #volumes = new Map<string, LoggedVolume>();
  #next = 1;

  constructor(log: CommitLog) {
    this.#log = log;
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

  /** Drops the volume if all of it up to the commit at `to` has left. */
  left(volume: LoggedVolume, to: number): void {
    if (to >= volume.to) this.#volumes.delete(nameOf(volume));
    else volume.from = to + 1;
  }

  #add(commit: Commit, seq: number): void {
    for (const entry of commit.entries) {
      if (entry.fresh.size === 0) continue;
      const { stream, storedBytes } = entry;
      const hour = hourOfEntry(commit, entry);
      const known = this.#volumes.get(nameOf({ stream, hour }));
      if (known) {
        known.bytes += storedBytes;
        known.to = seq;
      } else {
        this.#volumes.set(nameOf({ stream, hour }), {
          stream,
          hour,
          bytes: storedBytes,
          from: seq,
          to: seq,
        });
      }
    }
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

function nameOf({ stream, hour }: Pick<Volume, 'stream' | 'hour'>): string {
  return `${hour}/${stream}`;
}
