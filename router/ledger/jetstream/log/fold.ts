/**
 * Items that the commit log adds up to (the state of a stream, for one), without holding them all and without
 * reading the log from its start.
 *
 * - `tail`: what the commits after the checkpoint changed. Item = snapshot + the changes in the tail after
 *   the snapshot.
 * - {@link Fold.flush} writes a snapshot of every item in the tail. Only when all of them are stored the
 *   checkpoint moves ({@link States}), and only then {@link Fold.trim} forgets the tail up to it. A crash in
 *   between leaves snapshots that are newer than the checkpoint says: a change that is in a snapshot already
 *   is not applied to it again.
 * - The items used last stay in a cache, which follows the log.
 */
import type { NewSnapshot, Snapshots } from './snapshots.ts';

/** How an item comes about, and what it is stored as. */
export interface Folding<Item, Change> {
  /** May change `item` itself. Null: the first change of this item. */
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
  /** Of the snapshot it began with: that commit, and all before it, are in it. */
  at: number;
}

/** Snapshots made at once. */
const FLUSH_ITEMS = 256;

export class Fold<Item, Change> {
  readonly #folding: Folding<Item, Change>;
  readonly #snapshots: Snapshots;
  readonly #cacheMax: number;
  /** By subject, least recently used first. As of the last commit noted, or a later one. */
  readonly #cache = new Map<string, Cached<Item>>();
  readonly #tail = new Map<string, Noted<Change>[]>();
  #changes = 0;
  #trimmedTo = 0;

  constructor(options: { folding: Folding<Item, Change>; snapshots: Snapshots; cacheMax: number }) {
    this.#folding = options.folding;
    this.#snapshots = options.snapshots;
    this.#cacheMax = options.cacheMax;
  }

  /** How many changes the tail holds. */
  get changes(): number {
    return this.#changes;
  }

  /** The commit at `at` changed the item; in the order of the commits. */
  note(subject: string, at: number, change: Change): void {
    const noted = this.#tail.get(subject);
    if (noted) noted.push({ at, change });
    else this.#tail.set(subject, [{ at, change }]);
    this.#changes += 1;
    const cached = this.#cache.get(subject);
    // It may come from a snapshot of another replica, which has read on further.
    if (cached && at > cached.at) cached.item = this.#folding.apply(cached.item, change);
  }

  /**
   * The items as of the last commit noted, or a later one, by subject; null for one that no commit has
   * changed.
   */
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
   * All items whose subject begins with `prefix`, each with the last commit that it is as of; `head` is the
   * last one noted.
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
   * Shows every item whose subject begins with `prefix` to what `begin` makes, one at a time: each as of a
   * commit at or after the last one noted when the sweep began. One of which a new snapshot is written
   * meanwhile may come twice; what began to be meanwhile may not come. When the tail forgets changes
   * meanwhile, all begins anew.
   */
  async sweep<V extends { add(item: Item): void }>(prefix: string, begin: () => V): Promise<V> {
    for (;;) {
      const trimmedTo = this.#trimmedTo;
      const visitor = begin();
      // Those that no snapshot is listed of are of the tail alone.
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

  /** Gives `write` a snapshot of each item in the tail, some at a time, as of `head` at that moment. */
  async flush(head: () => number, write: (values: NewSnapshot[]) => Promise<void>): Promise<void> {
    const subjects = [...this.#tail.keys()];
    for (let i = 0; i < subjects.length; i += FLUSH_ITEMS) {
      const some = subjects.slice(i, i + FLUSH_ITEMS);
      const cached = await Promise.all(some.map((subject) => this.#cached(subject)));
      const values: NewSnapshot[] = [];
      for (const [n, subject] of some.entries()) {
        let one = cached[n];
        // One that has left the cache follows the log no more, and must not pass as being of the head.
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

  /** All changes up to the commit at `to` are in the snapshots: the tail forgets them. */
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

  /** `item`, which is as of the commit `at`, with the later changes. */
  #after(item: Item | null, at: number, noted: readonly Noted<Change>[]): Item | null {
    return noted.reduce(
      (before, one) => (one.at > at ? this.#folding.apply(before, one.change) : before),
      item,
    );
  }
}
