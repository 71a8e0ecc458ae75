/** When rows became durable, commit by commit, until they are taken. Pure: no clock, no I/O (I11). */
import type { SeqRange } from '../../../shared/record.ts';

/** Rows committed together. */
interface Arrival {
  last: number;
  bytes: number;
  atMs: number;
}

/** Bound on remembered commits (I10). Beyond it the two oldest are merged, with the age of the older. */
const ARRIVALS_MAX = 256;

export class Arrivals {
  #all: Arrival[] = [];

  /** The rows up to `last` became durable. */
  committed(last: number, bytes: number, atMs: number): void {
    this.#all.push({ last, bytes, atMs });
    if (this.#all.length <= ARRIVALS_MAX) return;
    const [oldest, next] = this.#all.splice(0, 2);
    if (!oldest || !next) return;
    this.#all.unshift({ ...oldest, last: next.last, bytes: oldest.bytes + next.bytes });
  }

  /** The last row that has waited for more than `liveMs`; 0 without one. */
  waitedTo(nowMs: number, liveMs: number): number {
    let to = 0;
    for (const { last, atMs } of this.#all) {
      if (nowMs - atMs <= liveMs) break;
      to = Math.max(to, last);
    }
    return to;
  }

  /** Whether the rows from `first` on are enough for an envelope, or have waited for `lingerMs`. */
  due(first: number, nowMs: number, lingerMs: number, fullBytes: number): boolean {
    let isFirst = true;
    let bytes = 0;
    for (const arrival of this.#all) {
      if (arrival.last < first) continue;
      if (isFirst && nowMs - arrival.atMs >= lingerMs) return true;
      isFirst = false;
      bytes += arrival.bytes;
      if (bytes >= fullBytes) return true;
    }
    return isFirst;
  }

  /** The rows are in an envelope. */
  taken({ first, last }: SeqRange): void {
    this.#all = this.#all.filter((arrival) => arrival.last < first || arrival.last > last);
  }

  /** Forgets all rows below `first`; all of them where it is null. */
  forgetBefore(first: number | null): void {
    this.#all = this.#all.filter(({ last }) => first !== null && last >= first);
  }
}
