/**
 * Rows of one queue that missed a provider's deadline although each stood alone and is larger than a live
 * envelope: the uplink may carry less than the deadline asks for. Such a row gets more time at each try, as
 * long as the provider accepts something in between, which tells a thin uplink from an outage.
 *
 * Pure: no clock, no I/O (I11).
 */
import type { SeqRange } from '../../../shared/record.ts';

/** Bound on rows per provider (I10). Beyond it all are forgotten: each begins with a usual deadline again. */
const ROWS_MAX = 1000;

interface Miss {
  /** Milliseconds that the last try had. */
  readonly givenMs: number;
  /** The provider's acceptances then. */
  readonly accepted: number;
}

export class SlowRows {
  readonly #misses = new Map<string, Map<number, Miss>>();

  /** The row was not accepted within `givenMs`. `accepted`: what the provider has accepted so far. */
  missed(provider: string, seq: number, givenMs: number, accepted: number): void {
    const known = this.#misses.get(provider);
    const rows = known && known.size < ROWS_MAX ? known : new Map<number, Miss>();
    this.#misses.set(provider, rows);
    rows.set(seq, { givenMs, accepted });
  }

  /** Milliseconds that the last try of the row had in vain; null without one. */
  lastGivenMs(provider: string, seq: number): number | null {
    return this.#misses.get(provider)?.get(seq)?.givenMs ?? null;
  }

  /** Providers that have accepted nothing since they missed the row: they may be down. */
  unproven(seq: number, acceptedBy: (provider: string) => number): Set<string> {
    const providers = new Set<string>();
    for (const [provider, rows] of this.#misses) {
      const miss = rows.get(seq);
      if (miss && acceptedBy(provider) <= miss.accepted) providers.add(provider);
    }
    return providers;
  }

  /** Whether the row is to be sent with nothing else under way. */
  isSlow(seq: number): boolean {
    return [...this.#misses.values()].some((rows) => rows.has(seq));
  }

  /** The rows are settled or given up. */
  forget({ first, last }: SeqRange): void {
    for (const [provider, rows] of this.#misses) {
      for (const seq of rows.keys()) if (seq >= first && seq <= last) rows.delete(seq);
      if (rows.size === 0) this.#misses.delete(provider);
    }
  }
}
