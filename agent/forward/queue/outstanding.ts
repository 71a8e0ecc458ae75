/**
 * Records of one (epoch, stream) that providers acknowledged and no receipt covers yet, by provider and age.
 * They reveal a provider that acknowledges and does not deliver.
 *
 * Ages are kept in buckets, so that memory grows with time and holes, not with records (I10). Pure: no clock,
 * no I/O (I11).
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { SeqRange } from '../../../shared/record.ts';

/** Acknowledgements within this time share a bucket; its age is that of the oldest. */
const BUCKET_MS = 250;
/** Beyond this number, the two oldest buckets are merged. */
const BUCKETS_MAX = 256;

interface Bucket {
  atMs: number;
  set: IntervalSet;
}

/** Overdue records of one provider. */
export interface Overdue {
  provider: string;
  ranges: SeqRange[];
}

export class Outstanding {
  /** Oldest bucket first; no bucket is empty. */
  readonly #buckets = new Map<string, Bucket[]>();

  get isEmpty(): boolean {
    return this.#buckets.size === 0;
  }

  acknowledged(provider: string, { first, last }: SeqRange, atMs: number): void {
    const own = this.#buckets.get(provider) ?? [];
    this.#buckets.set(provider, own);
    const newest = own.at(-1);
    if (newest && atMs - newest.atMs < BUCKET_MS) {
      newest.set.add(first, last);
      return;
    }
    own.push({ atMs, set: IntervalSet.of([{ first, last }]) });
    if (own.length <= BUCKETS_MAX) return;
    const [next] = own.splice(1, 1);
    if (own[0] && next) addAll(own[0].set, next.set.ranges());
  }

  /**
   * A receipt covers these records, or they are irrelevant now. Returns when the newest of them was
   * acknowledged; null when none was.
   */
  forget(covered: IntervalSet): number | null {
    let newestMs: number | null = null;
    for (const [provider, own] of this.#buckets) {
      const left: Bucket[] = [];
      for (const { atMs, set } of own) {
        const rest = set.difference(covered);
        if (rest.size > 0) left.push({ atMs, set: rest });
        if (rest.size < set.size) newestMs = Math.max(atMs, newestMs ?? atMs);
      }
      if (left.length > 0) this.#buckets.set(provider, left);
      else this.#buckets.delete(provider);
    }
    return newestMs;
  }

  /** When the oldest record of each provider was acknowledged. */
  oldest(): Array<{ provider: string; atMs: number }> {
    return [...this.#buckets].flatMap(([provider, [first]]) =>
      first ? [{ provider, atMs: first.atMs }] : [],
    );
  }

  /** The records acknowledged at `untilMs` or before. They are forgotten here for all providers. */
  takeOverdue(untilMs: number): Overdue[] {
    const all = IntervalSet.empty();
    for (const own of this.#buckets.values()) {
      for (const { atMs, set } of own) if (atMs <= untilMs) addAll(all, set.ranges());
    }
    if (all.size === 0) return [];
    const overdue = [...this.#buckets].map(([provider, own]) => {
      const ranges = IntervalSet.of(own.flatMap(({ set }) => within(set, all)));
      return { provider, ranges: [...ranges.ranges()] };
    });
    this.forget(all);
    return overdue.filter(({ ranges }) => ranges.length > 0);
  }
}

/** The members of `set` that are also in `other`. */
export function within(set: IntervalSet, other: IntervalSet): SeqRange[] {
  return [...set.ranges()].flatMap(({ first, last }) => other.within(first, last));
}

function addAll(set: IntervalSet, ranges: Iterable<SeqRange>): void {
  for (const { first, last } of ranges) set.add(first, last);
}
