/** The state built from the commit log, with the snapshots that keep a rebuild short. */
import { errorText } from '../../../../shared/log.ts';
import type { StreamKey } from '../../../../shared/record.ts';
import type { SparseLog } from '../../../../shared/sparse-log.ts';
import type { Names } from '../names.ts';
import type { Commit, CommitEntry, Removal } from './commit-format.ts';
import { Fold } from './fold.ts';
import { gatewayFolding } from './gateway-fold.ts';
import { pageFolding, pagesOf, placesByPage } from './page-fold.ts';
import type { NewSnapshot, Snapshots } from './snapshots.ts';
import { type StreamItem, streamFolding } from './stream-fold.ts';

export interface StateLimits {
  /** Cached items of each kind. */
  itemsCached: number;
  /** Snapshots are written after this many commits or this many changes since the last ones. */
  snapshotCommits: number;
  snapshotChanges: number;
}

/** More than the envelopes of any commit. */
const ENTRIES_MAX = 2 ** 20;

export class States {
  readonly streams: Fold<
    Parameters<typeof streamFolding.encode>[0],
    Parameters<typeof streamFolding.apply>[1]
  >;
  readonly gateways: Fold<
    Parameters<typeof gatewayFolding.encode>[0],
    Parameters<typeof gatewayFolding.apply>[1]
  >;
  readonly pages: Fold<Parameters<typeof pageFolding.encode>[0], Parameters<typeof pageFolding.apply>[1]>;
  readonly #snapshots: Snapshots;
  readonly #names: Names;
  readonly #limits: StateLimits;
  readonly #log: SparseLog;
  readonly #catchUp: () => Promise<void>;
  #commits = 0;
  #at = 0;
  #checkpoint = 0;
  #flushing: Promise<void> | null = null;

  /** `catchUp` reads the log to its end and passes each commit to {@link note}. */
  constructor(parts: {
    snapshots: Snapshots;
    names: Names;
    limits: StateLimits;
    log: SparseLog;
    catchUp: () => Promise<void>;
  }) {
    const { snapshots, limits } = parts;
    const cacheMax = limits.itemsCached;
    this.streams = new Fold({ folding: streamFolding, snapshots, cacheMax });
    this.gateways = new Fold({ folding: gatewayFolding, snapshots, cacheMax });
    this.pages = new Fold({ folding: pageFolding, snapshots, cacheMax });
    this.#snapshots = snapshots;
    this.#names = parts.names;
    this.#limits = limits;
    this.#log = parts.log;
    this.#catchUp = parts.catchUp;
  }

  /** Null for a stream without commits. */
  async stream(key: StreamKey): Promise<StreamItem | null> {
    const subject = this.#names.stream(key);
    return (await this.streams.load([subject])).get(subject) ?? null;
  }

  /** Sequence of the last commit noted. */
  readonly head = (): number => this.#at;

  /** Sequence of the last commit that is fully in snapshots: the log is read from there. */
  async open(): Promise<number> {
    this.#checkpoint = await this.#stored();
    this.#at = this.#checkpoint;
    return this.#checkpoint;
  }

  note(commit: Commit, at: number): void {
    this.#at = at;
    this.#commits += 1;
    let offset = commit.offset + 1;
    for (const [i, entry] of commit.entries.entries()) {
      const { fresh, parts, replaces } = entry;
      this.streams.note(this.#names.stream(entry), at, { entry, made: commit.number * ENTRIES_MAX + i });
      for (const [page, places] of placesByPage(fresh, parts, offset)) {
        this.pages.note(this.#names.page(entry, page), at, { places, replaces });
      }
      offset += fresh.size;
      if (entry.removal) this.#noteRemoval(entry, entry.removal, at);
    }
    for (const change of [...commit.contacts, ...commit.bootClocks]) {
      this.gateways.note(this.#names.gateway(change.gateway), at, change);
    }
  }

  /**
   * After a commit of this replica: writes snapshots when they are due. Other replicas write them only when
   * they are long overdue.
   */
  committed(): void {
    if (this.#due(1)) this.#begin();
  }

  /** Called after commits of other replicas were read. */
  followed(): void {
    if (this.#due(2)) this.#begin();
  }

  /** Resolves when no snapshot is being written. */
  async idle(): Promise<void> {
    await this.#flushing;
  }

  #noteRemoval(entry: CommitEntry, { gone, moved }: Removal, at: number): void {
    const removal = { gone, moved, parts: entry.parts };
    for (const page of pagesOf(gone.union(moved))) {
      this.pages.note(this.#names.page(entry, page), at, { places: [], replaces: false, removal });
    }
  }

  #due(times: number): boolean {
    const changes = this.streams.changes + this.gateways.changes + this.pages.changes;
    return (
      this.#commits >= times * this.#limits.snapshotCommits || changes >= times * this.#limits.snapshotChanges
    );
  }

  #begin(): void {
    this.#flushing ??= this.#flush()
      .catch((error: unknown) => this.#log.warn('ledger.snapshot_failed', { error: errorText(error) }))
      .finally(() => {
        this.#flushing = null;
      });
  }

  async #flush(): Promise<void> {
    const stored = await this.#stored();
    if (stored > this.#checkpoint) {
      this.#checkpoint = stored;
    } else {
      // All values stored up to here are current to commits that the log holds by now; all values written
      // below are current to later ones.
      let end = await this.#snapshots.end();
      await this.#catchUp();
      const at = this.#at;
      const write = async (values: readonly NewSnapshot[]): Promise<void> => {
        end = await this.#snapshots.write(values, end);
      };
      for (const fold of [this.streams, this.gateways, this.pages]) await fold.flush(this.head, write);
      await write([{ subject: this.#names.checkpoint, at, value: null }]);
      this.#checkpoint = at;
    }
    this.#trim(this.#checkpoint);
  }

  async #stored(): Promise<number> {
    return (await this.#snapshots.get(this.#names.checkpoint))?.at ?? 0;
  }

  #trim(to: number): void {
    for (const fold of [this.streams, this.gateways, this.pages]) fold.trim(to);
    this.#commits = this.#at - to;
  }
}
