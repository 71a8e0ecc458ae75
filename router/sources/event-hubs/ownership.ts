/**
 * One router's part in the {@link Shares} of an event hub. The router takes a turn periodically, reports
 * which partitions it owns, and saves its positions in them. When another router changed the shares first,
 * the turn is repeated on the new state.
 *
 * A router that cannot reach the ledger continues to read: its events are not committed, so nothing is
 * settled. When the ledger answers again, the router learns which partitions it lost. Two routers that read
 * one partition for a moment do no harm: the ledger drops duplicates (I5).
 */
import type { Clock, Timer } from '../../../shared/clock.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import type { CheckpointStore } from '../../ledger/checkpoints.ts';
import { type Position, parsePosition } from './position.ts';
import { formatShares, leave, ownedBy, parseShares, type Shares, takeTurn } from './shares.ts';

/**
 * A checkpoint costs the ledger's database a write, so there are at most four a second. After a crash the
 * events since the last checkpoint are read again and deduplicated.
 */
const SAVE_PERIOD_MS = 250;
/** Turns per lease; a router that takes no turn for a whole lease counts as gone. */
const BEATS_PER_LEASE = 5;

export interface OwnershipOptions {
  source: string;
  /** Event hub and consumer group. */
  key: string;
  /** Identifies this router among all routers, and this run of it. */
  router: string;
  store: CheckpointStore;
  /**
   * Time without a turn after which the other routers share this router's partitions; 0 for a single router.
   */
  leaseMs: number;
  /** Called when this router becomes the owner of a partition; reading starts at `from`. */
  onGained: (partition: string, from: Position | null) => void;
  /** Called when this router stops owning a partition. */
  onLost: (partition: string) => void;
  clock: Clock;
  log: Logger;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #positions = new Map<string, Position>();
  /** By router: the last beat seen, and since when it has not changed. */
  readonly #beats = new Map<string, { beat: number; sinceMs: number }>();
  #partitions: readonly string[] = [];
  #owned: ReadonlySet<string> = new Set();
  /** The store's content when it was last read; undefined when unknown. */
  #text: string | null | undefined;
  /** Serialises the turns. */
  #turns: Promise<void> = Promise.resolve();
  #beating: Timer | null = null;
  #saving: Timer | null = null;
  /** A turn is queued and has not started. */
  #waiting: boolean = false;
  #left: boolean = false;

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  /**
   * Joins the sharing of the hub's `partitions`, the first time or again. Rejects when the store cannot be
   * read.
   */
  async join(partitions: readonly string[]): Promise<void> {
    this.#partitions = partitions;
    await this.#queue(() => this.#turn());
  }

  /** Takes turns periodically, so that the other routers see this one alive, until {@link rest}. */
  hold(): void {
    const { clock, leaseMs } = this.#options;
    if (leaseMs === 0 || this.#left) return;
    this.#beating ??= clock.every(leaseMs / BEATS_PER_LEASE, () => this.#turnLogged());
  }

  /** Stops the periodic turns: this router cannot reach the hub, and another router may be able to. */
  rest(): void {
    this.#beating?.cancel();
    this.#beating = null;
  }

  /** Records that every event in `partition` up to `position` is settled. */
  settled(partition: string, position: Position): void {
    if (!this.#owned.has(partition)) return;
    this.#positions.set(partition, position);
    if (this.#left) return;
    this.#saving ??= this.#options.clock.setTimer(SAVE_PERIOD_MS, () => {
      this.#saving = null;
      this.#turnLogged();
    });
  }

  /** Saves this router's positions and releases its partitions to the others. */
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

  /** Queues a turn; at most one waits, however slow the store is (I10). */
  #turnLogged(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    const turn = (): Promise<void> => {
      this.#waiting = false;
      return this.#turn();
    };
    // The next turn tries again. Until then, a restart reads slightly more events twice.
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
   * Applies the new shares. A partition that another router owned in between is read from its stored
   * position, even if this router owned it before.
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

  /** The checkpoint of a partition in the format of earlier versions, one per partition. */
  async #formerPosition(partition: string): Promise<Position | null> {
    const { source, key, store } = this.#options;
    const text = await store.loadCheckpoint(source, `${key}/${partition}`);
    return text === null ? null : parsePosition(text);
  }

  /** Retries the compare-and-set until no other router changed the shares in between. */
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

  /** Routers whose beat has not changed for the length of a lease. */
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
