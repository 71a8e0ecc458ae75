/**
 * Billed units of today and this month, by provider and stream.
 *
 * Quotas and bills go by UTC days, and a gateway may not know the day (I7). So the count keeps its own time:
 * the last instant of a synchronised clock, plus monotonic time since. This time may lag behind by the time
 * the gateway was off, and never runs ahead: units are counted to the last known day, and a day of running
 * ends that day, even with a wrong wall clock. A synchronised clock sets the day. Before any day is known,
 * the units wait for the first one.
 *
 * Pure: no clock, no I/O (I11).
 */
import { DAY_MS, dayOf, monthOf, monthStartMs } from './calendar.ts';

export interface Amount {
  /** In the provider's metering unit: messages or bytes. */
  units: number;
  /** Records of accepted envelopes; a record with two copies counts at each provider. */
  records: number;
  usd: number;
  /** Units of tries that ended unknown or in a metered error: not included in `units` and `usd`. */
  possibleUnits: number;
  possibleUsd: number;
}

export interface UsageEntry {
  provider: string;
  stream: string;
  today: Amount;
  month: Amount;
}

export interface UsageSnapshot {
  /** Wall-clock milliseconds of the count's own time. */
  atMs: number;
  /** False until a synchronised clock has told the day; `atMs` then counts from 1970. */
  dated: boolean;
  /** Beginning of this month's count. */
  sinceMs: number;
  entries: UsageEntry[];
}

export interface ClockReading {
  monoMs: number;
  wallMs: number;
  synchronised: boolean;
}

export type Turn = 'day' | 'month';

/**
 * A correction of a synchronised clock may step back over midnight. The day goes back only for a larger step,
 * from a clock that was wrong.
 */
const STEP_BACK_MAX_MS = DAY_MS;

export const NO_AMOUNT: Readonly<Amount> = {
  units: 0,
  records: 0,
  usd: 0,
  possibleUnits: 0,
  possibleUsd: 0,
};

export function sumOf(amounts: readonly Amount[]): Amount {
  return amounts.reduce(
    (sum, amount) => ({
      units: sum.units + amount.units,
      records: sum.records + amount.records,
      usd: sum.usd + amount.usd,
      possibleUnits: sum.possibleUnits + amount.possibleUnits,
      possibleUsd: sum.possibleUsd + amount.possibleUsd,
    }),
    NO_AMOUNT,
  );
}

export class Usage {
  #atMs: number;
  #dated: boolean;
  #sinceMs: number;
  #monoMs: number;
  #entries: UsageEntry[];

  /** `kept`: the count before a restart, or null; `monoMs`: now. */
  constructor(kept: UsageSnapshot | null, monoMs: number) {
    this.#atMs = kept?.atMs ?? 0;
    this.#dated = kept?.dated ?? false;
    this.#sinceMs = kept?.sinceMs ?? 0;
    this.#entries = kept?.entries ?? [];
    this.#monoMs = monoMs;
  }

  snapshot(): UsageSnapshot {
    return { atMs: this.#atMs, dated: this.#dated, sinceMs: this.#sinceMs, entries: this.#entries };
  }

  add(provider: string, stream: string, amount: Amount): void {
    let entry = this.#entries.find((one) => one.provider === provider && one.stream === stream);
    if (!entry) {
      entry = { provider, stream, today: { ...NO_AMOUNT }, month: { ...NO_AMOUNT } };
      this.#entries.push(entry);
    }
    entry.today = sumOf([entry.today, amount]);
    entry.month = sumOf([entry.month, amount]);
  }

  /** All amounts of one provider. */
  of(provider: string): { today: Amount; month: Amount } {
    const own = this.#entries.filter((entry) => entry.provider === provider);
    return { today: sumOf(own.map(({ today }) => today)), month: sumOf(own.map(({ month }) => month)) };
  }

  /** Advances the time; returns the counts that began anew. */
  advance({ monoMs, wallMs, synchronised }: ClockReading): Turn | null {
    const ownMs = this.#atMs + Math.max(0, monoMs - this.#monoMs);
    this.#monoMs = monoMs;
    if (!synchronised) return this.#turnTo(ownMs);
    if (!this.#dated) {
      this.#dated = true;
      this.#sinceMs = wallMs - (ownMs - this.#sinceMs);
      this.#atMs = wallMs;
      return null;
    }
    const steppedBack = wallMs < this.#atMs && this.#atMs - wallMs <= STEP_BACK_MAX_MS;
    return steppedBack ? null : this.#turnTo(wallMs);
  }

  #turnTo(atMs: number): Turn | null {
    const beforeMs = this.#atMs;
    this.#atMs = atMs;
    if (dayOf(atMs) === dayOf(beforeMs)) return null;
    for (const entry of this.#entries) entry.today = { ...NO_AMOUNT };
    if (monthOf(atMs) === monthOf(beforeMs)) return 'day';
    this.#sinceMs = monthStartMs(atMs);
    // Removed streams and providers leave with their month (I10).
    this.#entries = [];
    return 'month';
  }
}
