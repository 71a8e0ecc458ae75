/**
 * Deliveries and gaps, gathered between writes: an interval set for each (epoch, stream, provider) and
 * minute, instead of a line for each envelope. Pure (I11).
 */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { GapReason, SeqRange } from '../../shared/record.ts';
import type { Acceptance } from '../forward/acceptance.ts';
import type { LineOf } from './lines.ts';

/** Resolution of acceptance times. */
const WINDOW_MS = 60_000;
/** Most intervals of one line (I10). */
const INTERVALS_MAX = 100;

export type GivenUp = SeqRange & { epoch: string; stream: string; reason: GapReason };
type DeliveryLine = LineOf<'took'> | LineOf<'gave-up'>;

interface Window {
  fromMs: number;
  toMs: number;
  ranges: IntervalSet;
  line: (times: { m: number; d: number }, r: number[]) => DeliveryLine;
}

export class Deliveries {
  readonly #windows = new Map<string, Window>();
  #closed: DeliveryLine[] = [];

  accepted({ epoch, stream, provider, range }: Acceptance, nowMs: number): void {
    if (range === null) return;
    const key = `took/${epoch}/${stream}/${provider}`;
    this.#add(key, range, nowMs, (times, r) => ({
      k: 'took',
      ...times,
      ep: epoch,
      s: stream,
      p: provider,
      r,
    }));
  }

  gaveUp({ epoch, stream, reason, ...range }: GivenUp, nowMs: number): void {
    const key = `gave-up/${epoch}/${stream}/${reason}`;
    this.#add(key, range, nowMs, (times, r) => ({
      k: 'gave-up',
      ...times,
      ep: epoch,
      s: stream,
      why: reason,
      r,
    }));
  }

  /** The lines since the last {@link take}. */
  lines(): DeliveryLine[] {
    return [...this.#closed, ...[...this.#windows.values()].map(lineOf)];
  }

  /** Returns the lines and begins anew. */
  take(): DeliveryLine[] {
    const lines = this.lines();
    this.#closed = [];
    this.#windows.clear();
    return lines;
  }

  #add(key: string, { first, last }: SeqRange, nowMs: number, line: Window['line']): void {
    let window = this.#windows.get(key);
    if (window && (nowMs - window.fromMs > WINDOW_MS || window.ranges.intervals >= INTERVALS_MAX)) {
      this.#closed.push(lineOf(window));
      window = undefined;
    }
    if (!window) {
      window = { fromMs: nowMs, toMs: nowMs, ranges: IntervalSet.empty(), line };
      this.#windows.set(key, window);
    }
    window.toMs = nowMs;
    window.ranges.add(first, last);
  }
}

function lineOf({ fromMs, toMs, ranges, line }: Window): DeliveryLine {
  const m = Math.floor(fromMs);
  return line(
    { m, d: Math.ceil(toMs) - m },
    [...ranges.ranges()].flatMap(({ first, last }) => [first, last]),
  );
}
