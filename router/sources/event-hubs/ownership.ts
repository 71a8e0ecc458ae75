/**
 * One router's part in a hub's {@link Shares}: takes its turn now and then, tells which partitions are its
 * own, and keeps how far it is in them. A turn that another router came before is taken again from what that
 * one left.
 *
 * A router that cannot reach the ledger goes on reading: what it reads is not committed, so nothing is
 * settled. When it is back it finds out what was taken from it. Two that read one partition for a moment do
 * no harm: the ledger drops what comes twice (I5).
 */
import type { Clock, Timer } from '../../../shared/clock.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import type { CheckpointStore } from '../../ledger/checkpoints.ts';
import { type Position, parsePosition } from './position.ts';
import { formatShares, leave, ownedBy, parseShares, type Shares, takeTurn } from './shares.ts';

/**
 * A checkpoint costs the ledger's database a write: at most four a second. What a crash re-reads is
 * deduplicated.
 */
const SAVE_PERIOD_MS = 250;
/** Turns in the time after which a router that takes none is gone. */
const BEATS_PER_LEASE = 5;

export interface OwnershipOptions {
  source: string;
  /** Event hub and consumer group. */
  key: string;
  /** Names this router among all, and this life of it. */
  router: string;
  store: CheckpointStore;
  /** How long a router takes no turn before the others share its partitions; 0 where there are no others. */
  leaseMs: number;
  /** A partition is this router's own from now on, and is to be read from `from`. */
  onGained: (partition: string, from: Position | null) => void;
  /** It is not any more. */
  onLost: (partition: string) => void;
  clock: Clock;
  log: Logger;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #positions = new Map<string, Position>();
  /** By router: the beat that was last seen, and since when it has not changed. */
  readonly #beats = new Map<string, { beat: number; sinceMs: number }>();
  #partitions: readonly string[] = [];
  #owned: ReadonlySet<string> = new Set();
  /** What the store held when it was last seen; undefined when that is not known. */
  #text: string | null | undefined;
  /** Turns, one after the other. */
  #turns: Promise<void> = Promise.resolve();
  #beating: Timer | null = null;
  #saving: Timer | null = null;
  /** A turn is queued that has not begun. */
  #waiting: boolean = false;
  #left: boolean = false;

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  /**
   * Takes part in the sharing of the hub's `partitions`, new or again. Rejects when the store cannot be read.
   */
  async join(partitions: readonly string[]): Promise<void> {
    this.#partitions = partitions;
    await this.#queue(() => this.#turn());
  }

  /** Takes a turn now and then, so that the others know that this router reads, until {@link rest}. */
  hold(): void {
    const { clock, leaseMs } = this.#options;
    if (leaseMs === 0 || this.#left) return;
    this.#beating ??= clock.every(leaseMs / BEATS_PER_LEASE, () => this.#turnLogged());
  }

  /** The hub is not there for this router, and another may have more luck: takes no turn for its own sake. */
  rest(): void {
    this.#beating?.cancel();
    this.#beating = null;
  }

  /** Everything in `partition` up to here is settled. */
  settled(partition: string, position: Position): void {
    if (!this.#owned.has(partition)) return;
    this.#positions.set(partition, position);
    if (this.#left) return;
    this.#saving ??= this.#options.clock.setTimer(SAVE_PERIOD_MS, () => {
      this.#saving = null;
      this.#turnLogged();
    });
  }

  /** Keeps how far this router is, and gives its partitions to the others. */
  async leave(): Promise<void> {
    this.#left = true;
    this.rest();
    this.#saving?.cancel();
    if (this.#partitions.length === 0) return;
    const { router } = this.#options;
    try {
      await this.#queue(() => this.#change((before) => leave(before, router, this.#positions)));
    } catch (error) {
      this.#warn('event_hubs.not_left', error);
    }
  }

  #queue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turns.then(work);
    this.#turns = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  /** One waits at most, however long the store takes (I10). */
  #turnLogged(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    const turn = (): Promise<void> => {
      this.#waiting = false;
      return this.#turn();
    };
    // The next turn tries again; until then a restart reads a little more twice.
    this.#queue(turn).catch((error) => this.#warn('event_hubs.checkpoint_failed', error));
  }

  async #turn(): Promise<void> {
    if (this.#left) return;
    const { router } = this.#options;
    let kept: ReadonlySet<string> = new Set();
    const after = await this.#change((before) => {
      kept = new Set(ownedBy(before, router));
      const turn = {
        router,
        gone: this.#gone(before),
        partitions: this.#partitions,
        positions: this.#positions,
      };
      return takeTurn(before, turn);
    });
    await this.#apply(after, kept);
  }

  /**
   * What was in other hands in between is read from its place in the store, also where it was this router's
   * before.
   */
  async #apply(after: Shares, kept: ReadonlySet<string>): Promise<void> {
    const { router, onGained, onLost } = this.#options;
    const lost = [...this.#owned].filter((id) => !kept.has(id));
    const owned = ownedBy(after, router);
    const gained = owned.filter((id) => !kept.has(id) || !this.#owned.has(id));
    for (const id of lost) {
      this.#positions.delete(id);
      onLost(id);
    }
    this.#owned = new Set(owned.filter((id) => !gained.includes(id)));
    for (const id of gained) {
      const from = after.partitions[id]?.position ?? (await this.#formerPosition(id));
      this.#owned = new Set([...this.#owned, id]);
      onGained(id, from);
    }
  }

  /** From when each partition had a checkpoint of its own. */
  async #formerPosition(partition: string): Promise<Position | null> {
    const { source, key, store } = this.#options;
    const text = await store.loadCheckpoint(source, `${key}/${partition}`);
    return text === null ? null : parsePosition(text);
  }

  /** Until nobody came between. */
  async #change(change: (before: Shares) => Shares): Promise<Shares> {
    const { source, key, store } = this.#options;
    for (;;) {
      const text = this.#text === undefined ? await store.loadCheckpoint(source, key) : this.#text;
      const after = change(parseShares(text));
      const next = formatShares(after);
      this.#text = undefined;
      if (await store.replaceCheckpoint(source, key, text, next)) {
        this.#text = next;
        return after;
      }
    }
  }

  /** Those whose beat has not changed for as long as a lease. */
  #gone({ routers }: Shares): Set<string> {
    const { clock, leaseMs, router } = this.#options;
    const nowMs = clock.monoMs();
    const gone = new Set<string>();
    for (const [name, beat] of Object.entries(routers)) {
      const seen = this.#beats.get(name);
      if (seen?.beat !== beat) this.#beats.set(name, { beat, sinceMs: nowMs });
      if (name !== router && nowMs - (this.#beats.get(name)?.sinceMs ?? nowMs) >= leaseMs) gone.add(name);
    }
    for (const name of this.#beats.keys()) if (!(name in routers)) this.#beats.delete(name);
    return gone;
  }

  #warn(event: string, error: unknown): void {
    const { log, source, key } = this.#options;
    log.warn({ event, source, partitions: key, error: errorText(error) });
  }
}
