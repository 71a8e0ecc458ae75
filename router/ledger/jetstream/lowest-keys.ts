/** The items with the lowest keys from items in any order; memory holds few more than `count` items (I10). */

/** A key in parts, compared part by part by UTF-16 code units. */
type Key = readonly string[];

export class Lowest<Item> {
  readonly #keyOf: (item: Item) => Key;
  readonly #after: Key;
  readonly #count: number;
  /** By key: a repeated item replaces itself. */
  #kept = new Map<string, Item>();

  /** The `count` lowest keys after `after`. */
  constructor(keyOf: (item: Item) => Key, after: Key, count: number) {
    this.#keyOf = keyOf;
    this.#after = after;
    this.#count = count;
  }

  add(item: Item): void {
    const key = this.#keyOf(item);
    if (compare(key, this.#after) <= 0) return;
    this.#kept.set(JSON.stringify(key), item);
    if (this.#kept.size > 2 * this.#count) {
      this.#kept = new Map(this.items().map((one) => [JSON.stringify(this.#keyOf(one)), one]));
    }
  }

  /** Ascending. */
  items(): Item[] {
    const all = [...this.#kept.values()];
    return all.sort((a, b) => compare(this.#keyOf(a), this.#keyOf(b))).slice(0, this.#count);
  }
}

function compare(a: Key, b: Key): number {
  for (const [i, part] of a.entries()) {
    const other = b[i] ?? '';
    if (part !== other) return part < other ? -1 : 1;
  }
  return 0;
}
