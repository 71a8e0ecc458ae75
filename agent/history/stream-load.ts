/** The load of each stream, gathered into a line for each minute. Pure (I11). */
import type { Acceptance } from '../forward/acceptance.ts';
import type { CommittedRange } from '../store/types.ts';
import type { LineOf } from './lines.ts';

const WINDOW_MS = 60_000;

type Counts = Pick<LineOf<'load'>, 'r' | 'b' | 'e' | 'er' | 'eb'>;

interface Window {
  fromMs: number;
  toMs: number;
  counts: Counts;
}

export class Load {
  readonly #windows = new Map<string, Window>();
  #closed: LineOf<'load'>[] = [];

  committed({ stream, first, last, bytes }: CommittedRange, nowMs: number): void {
    this.#add(stream, { r: last - first + 1, b: bytes, e: 0, er: 0, eb: 0 }, nowMs);
  }

  accepted({ stream, records, bytes }: Acceptance, nowMs: number): void {
    this.#add(stream, { r: 0, b: 0, e: 1, er: records, eb: bytes }, nowMs);
  }

  lines(): LineOf<'load'>[] {
    return [...this.#closed, ...[...this.#windows].map(([stream, window]) => lineOf(stream, window))];
  }

  take(): LineOf<'load'>[] {
    const lines = this.lines();
    this.#closed = [];
    this.#windows.clear();
    return lines;
  }

  #add(stream: string, { r, b, e, er, eb }: Counts, nowMs: number): void {
    let window = this.#windows.get(stream);
    if (window && nowMs - window.fromMs >= WINDOW_MS) {
      this.#closed.push(lineOf(stream, window));
      window = undefined;
    }
    if (!window) {
      window = { fromMs: nowMs, toMs: nowMs, counts: { r: 0, b: 0, e: 0, er: 0, eb: 0 } };
      this.#windows.set(stream, window);
    }
    window.toMs = nowMs;
    const { counts } = window;
    counts.r += r;
    counts.b += b;
    counts.e += e;
    counts.er += er;
    counts.eb += eb;
  }
}

function lineOf(stream: string, { fromMs, toMs, counts }: Window): LineOf<'load'> {
  const m = Math.floor(fromMs);
  return { k: 'load', m, d: Math.ceil(toMs) - m, s: stream, ...counts };
}
