/**
 * Rows of one queue whose envelopes a provider answers with the end of the connection. MQTT 3.1.1 has no
 * refusal of a PUBLISH (3.3.5), so a hub or broker that does not take an envelope looks like an outage. Two
 * cuts of the same rows, between which the provider accepted something else, put the rows under suspicion:
 * from then on each cut of them is the rows' fault.
 *
 * Pure: no clock, no I/O (I11).
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { SeqRange } from '../../../shared/record.ts';

/** Bound on ranges per provider (I10). Beyond it all are forgotten: each costs two more uploads. */
const RANGES_MAX = 1000;
/** A row is refused after so many cuts of it alone, with an acceptance of others after each. */
const CUTS_ALONE_MAX = 5;

interface Cuts {
  /** Rows of envelopes that were cut. */
  once: IntervalSet;
  /** Of these, the rows under suspicion. */
  suspect: IntervalSet;
  /** By row, the cuts of its envelope with this row alone. */
  alone: Map<number, number>;
  /** The provider's acceptances at the last cut. */
  accepted: number;
}

export class CutRows {
  readonly #cuts = new Map<string, Cuts>();

  /**
   * The provider cut an envelope with these rows. `accepted`: what it has accepted so far. Returns whether
   * the rows are at fault, and not the connection. `isBySize`: their size is the likely reason.
   */
  cut(provider: string, { first, last }: SeqRange, accepted: number, isBySize = false): boolean {
    const cuts = this.#of(provider, accepted);
    const isSuspect = cuts.suspect.within(first, last).length > 0;
    const again = cuts.once.within(first, last).length > 0 && accepted > cuts.accepted;
    cuts.once.add(first, last);
    const isAtFault = isSuspect || isBySize || again;
    if (isAtFault) cuts.suspect.add(first, last);
    if (isAtFault && first === last && accepted > cuts.accepted) {
      cuts.alone.set(first, (cuts.alone.get(first) ?? 0) + 1);
    }
    cuts.accepted = accepted;
    return isAtFault;
  }

  /** Whether rows of the range are to be sent with nothing else under way. */
  isSuspect({ first, last }: SeqRange): boolean {
    return [...this.#cuts.values()].some(({ suspect }) => suspect.within(first, last).length > 0);
  }

  /** Whether the provider has cut the row so often that it never takes it. */
  isHopeless(provider: string, seq: number): boolean {
    return (this.#cuts.get(provider)?.alone.get(seq) ?? 0) >= CUTS_ALONE_MAX;
  }

  /** The cuts had another cause: the provider limits the gateway. */
  acquit(provider: string): void {
    this.#cuts.delete(provider);
  }

  /** The rows are settled or given up. */
  forget({ first, last }: SeqRange): void {
    for (const [provider, { once, suspect, alone }] of this.#cuts) {
      once.remove(first, last);
      suspect.remove(first, last);
      for (const seq of alone.keys()) if (seq >= first && seq <= last) alone.delete(seq);
      if (once.size === 0) this.#cuts.delete(provider);
    }
  }

  #of(provider: string, accepted: number): Cuts {
    const known = this.#cuts.get(provider);
    if (known && known.once.intervals <= RANGES_MAX) return known;
    const cuts = { once: IntervalSet.empty(), suspect: IntervalSet.empty(), alone: new Map(), accepted };
    this.#cuts.set(provider, cuts);
    return cuts;
  }
}
