/**
 * Items built from the commit log (the state of a stream, for example), without holding all of them and
 * without reading the log from its start.
 *
 * - `tail`: the changes of the commits after the checkpoint. Item = snapshot + the changes in the tail after
 * the snapshot.
 * - {@link Fold.flush} writes a snapshot of every item in the tail. The checkpoint moves ({@link States})
 * only when all of them are stored, and only then {@link Fold.trim} drops the tail up to it. A crash in
 * between leaves snapshots that are newer than the checkpoint: a change that a snapshot already contains is
 * not applied again.
 * - The most recently used items stay in a cache, which follows the log.
 */
import type { NewSnapshot, Snapshots } from './snapshots.ts';

/** How an item is built and stored. */
export interface Folding<Item, Change> {
  /** May change `item` in place. Null: the first change of this item. */
  apply(item: Item | null, change: Change): Item;
  encode(item: Item): unknown;
  decode(value: unknown): Item;
}

interface Noted<Change> {
  at: number;
  change: Change;
}

interface Cached<Item> {
  item: Item | null;
  /** Sequence of the last commit in the snapshot that the item was built from. */
  at: number;
}

/** Snapshots per batch. */
const FLUSH_ITEMS = 256;

export class Fold<Item, Change> {
  readonly #folding: Folding<Item, Change>;
  readonly #snapshots: Snapshots;
  readonly #cacheMax: number;
  /** By subject, least recently used first. Current as of the last noted commit, or a later one. */
  readonly #cache = new Map<string, Cached<Item>>();
  readonly #tail = new Map<string, Noted<Change>[]>();
  #changes = 0;
  #trimmedTo = 0;

  constructor(options: { folding: Folding<Item, Change>; snapshots: Snapshots; cacheMax: number }) {
    this.#folding = options.folding;
    this.#snapshots = options.snapshots;
    this.#cacheMax = options.cacheMax;
  }

  /** The number of changes in the tail. */
  get changes(): number {
    return this.#changes;
  }

  /** Records a change by the commit at `at`; called in the order of the commits. */
  note(subject: string, at: number, change: Change): void {
    const noted = this.#tail.get(subject);
    if (noted) noted.push({ at, change });
    else this.#tail.set(subject, [{ at, change }]);
    this.#changes += 1;
    const cached = this.#cache.get(subject);
    // The cached item may come from a newer snapshot of another replica.
    if (cached && at > cached.at) cached.item = this.#folding.apply(cached.item, change);
  }

  /** The items as of the last noted commit, or a later one, by subject; null for an item without changes. */
  async load(subjects: Iterable<string>): Promise<Map<string, Item | null>> {
    const loaded = await Promise.all(
      [...new Set(subjects)].map(
        async (subject): Promise<[string, Item | null]> => [subject, (await this.#cached(subject)).item],
      ),
    );
    this.#shrink();
    return new Map(loaded);
  }

  /**
   * All items whose subject begins with `prefix`, each with the commit that it is current to; `head` returns
   * the last noted commit.
   */
  async all(prefix: string, head: () => number): Promise<{ item: Item; at: number }[]> {
    for (;;) {
      const trimmedTo = this.#trimmedTo;
      const stored = new Map<string, { item: Item; at: number }>();
      for await (const { subject, at, value } of this.#snapshots.list(prefix)) {
        stored.set(subject, { item: this.#folding.decode(value), at });
      }
      if (trimmedTo !== this.#trimmedTo) continue;
      for (const [subject, noted] of this.#tail) {
        if (!subject.startsWith(prefix)) continue;
        const known = stored.get(subject);
        const item = this.#after(known?.item ?? null, known?.at ?? 0, noted);
        if (item !== null) stored.set(subject, { item, at: known?.at ?? 0 });
      }
      return Array.from(stored.values(), ({ item, at }) => ({ item, at: Math.max(at, head()) }));
    }
  }

  /**
   * Passes every item whose subject begins with `prefix` to the visitor of `begin`, one at a time, current as
   * of the start of the sweep or later. An item whose snapshot is rewritten meanwhile may come twice; an item
   * created meanwhile may be absent. When the tail is trimmed meanwhile, the sweep starts again with a new
   * visitor.
   */
  async sweep<V extends { add(item: Item): void }>(prefix: string, begin: () => V): Promise<V> {
    for (;;) {
      const trimmedTo = this.#trimmedTo;
      const visitor = begin();
      // Items without a listed snapshot are in the tail alone.
      const unlisted = new Set([...this.#tail.keys()].filter((subject) => subject.startsWith(prefix)));
      for await (const { subject, at, value } of this.#snapshots.list(prefix)) {
        if (trimmedTo !== this.#trimmedTo) break;
        unlisted.delete(subject);
        const item = this.#after(this.#folding.decode(value), at, this.#tail.get(subject) ?? []);
        if (item !== null) visitor.add(item);
      }
      if (trimmedTo !== this.#trimmedTo) continue;
      for (const subject of unlisted) {
        const item = this.#after(null, 0, this.#tail.get(subject) ?? []);
        if (item !== null) visitor.add(item);
      }
      return visitor;
    }
  }

  /** Passes a snapshot of each item in the tail to `write`, in batches, as of `head` at that moment. */
  async flush(head: () => number, write: (values: NewSnapshot[]) => Promise<void>): Promise<void> {
    const subjects = [...this.#tail.keys()];
    for (let i = 0; i < subjects.length; i += FLUSH_ITEMS) {
      const some = subjects.slice(i, i + FLUSH_ITEMS);
      const cached = await Promise.all(some.map((subject) => this.#cached(subject)));
      const values: NewSnapshot[] = [];
      for (const [n, subject] of some.entries()) {
        let one = cached[n];
        // An item that left the cache no longer follows the log, and must not count as current.
        while (one === undefined || one !== this.#cache.get(subject)) one = await this.#cached(subject);
        if (one.item !== null) {
          const at = Math.max(one.at, head());
          values.push({ subject, at, value: this.#folding.encode(one.item) });
        }
      }
      await write(values);
      this.#shrink();
    }
  }

  /** All changes up to the commit at `to` are in snapshots: drops them from the tail. */
  trim(to: number): void {
    this.#trimmedTo = to;
    this.#changes = 0;
    for (const [subject, noted] of this.#tail) {
      const rest = noted.filter(({ at }) => at > to);
      this.#changes += rest.length;
      if (rest.length === 0) this.#tail.delete(subject);
      else this.#tail.set(subject, rest);
    }
  }

  #shrink(): void {
    for (const subject of this.#cache.keys()) {
      if (this.#cache.size <= this.#cacheMax) break;
      this.#cache.delete(subject);
    }
  }

  async #cached(subject: string): Promise<Cached<Item>> {
    for (;;) {
      const known = this.#cache.get(subject);
      if (known) {
        this.#cache.delete(subject);
        this.#cache.set(subject, known);
        return known;
      }
      const trimmedTo = this.#trimmedTo;
      const snapshot = await this.#snapshots.get(subject);
      // Changes that left the tail meanwhile may be in a later snapshot than this one.
      if (trimmedTo !== this.#trimmedTo || this.#cache.has(subject)) continue;
      const before = snapshot === null ? null : this.#folding.decode(snapshot.value);
      const at = snapshot?.at ?? 0;
      const cached = { item: this.#after(before, at, this.#tail.get(subject) ?? []), at };
      this.#cache.set(subject, cached);
      return cached;
    }
  }

  /** `item`, current to the commit `at`, with the later changes applied. */
  #after(item: Item | null, at: number, noted: readonly Noted<Change>[]): Item | null {
    return noted.reduce(
      (before, one) => (one.at > at ? this.#folding.apply(before, one.change) : before),
      item,
    );
  }
}
