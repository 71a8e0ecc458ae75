/**
 * A bounded queue that serves its sources in turn: one item of each source, then one of each again. A source
 * with many items delays the others by one item for each turn, not by its whole queue.
 * https://en.wikipedia.org/wiki/Fair_queuing
 */
export interface FairQueueLimits {
  /** Items of one source. */
  perSource: number;
  /** Items of all sources together. */
  total: number;
}

export class FairQueue<T> {
  readonly #limits: FairQueueLimits;
  /** Not empty, each; the source whose turn is next is the first. */
  readonly #bySource = new Map<string, T[]>();
  #size = 0;

  constructor(limits: FairQueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Null when there was room. Otherwise the item that has no place: this one where its source is at its limit
   * or has the longest queue, else the newest of the source with the longest queue.
   */
  push(source: string, item: T): T | null {
    const own = this.#bySource.get(source);
    if (own && own.length >= this.#limits.perSource) return item;
    if (this.#size < this.#limits.total) {
      this.#add(source, item);
      return null;
    }
    const longest = this.#longest();
    if (longest === null || longest.items.length <= (own?.length ?? 0) + 1) return item;
    const evicted = longest.items.pop() ?? null;
    this.#size -= 1;
    if (longest.items.length === 0) this.#bySource.delete(longest.source);
    this.#add(source, item);
    return evicted;
  }

  /** The next item of the source whose turn it is; undefined when the queue is empty. */
  shift(): T | undefined {
    for (const [source, items] of this.#bySource) {
      const item = items.shift();
      this.#size -= 1;
      this.#bySource.delete(source);
      if (items.length > 0) this.#bySource.set(source, items);
      return item;
    }
    return undefined;
  }

  /** Removes and returns the items that `isOver` holds for. */
  remove(isOver: (item: T) => boolean): T[] {
    const removed: T[] = [];
    for (const [source, items] of this.#bySource) {
      const left = items.filter((item) => !isOver(item));
      if (left.length === items.length) continue;
      removed.push(...items.filter(isOver));
      if (left.length === 0) this.#bySource.delete(source);
      else this.#bySource.set(source, left);
    }
    this.#size -= removed.length;
    return removed;
  }

  #add(source: string, item: T): void {
    const items = this.#bySource.get(source);
    if (items) items.push(item);
    else this.#bySource.set(source, [item]);
    this.#size += 1;
  }

  #longest(): { source: string; items: T[] } | null {
    let longest: { source: string; items: T[] } | null = null;
    for (const [source, items] of this.#bySource)
      if (longest === null || items.length > longest.items.length) longest = { source, items };
    return longest;
  }
}
