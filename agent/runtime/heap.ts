/**
 * Bounds the garbage that V8 lets accumulate before a collection. V8's default depends on the machine's
 * memory: on a large machine the heap grows to several times its live size. V8 reads the flags at each
 * collection, for all threads, so they may change while the agent runs: in calm hours the heap stays small,
 * and in a storm collections do not slow the agent (docs/reference/benchmarks.md, footprint).
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Service } from '../../shared/service.ts';

/**
 * Garbage may add this share to the live heap. The semi-space for new objects, a megabyte twice, does not
 * grow.
 */
const CALM_FLAGS = ['--heap-growing-percent=20', '--semi-space-growth-factor=1'];
/** V8's defaults. */
const BUSY_FLAGS = ['--heap-growing-percent=0', '--semi-space-growth-factor=2'];
const BUSY_RECORDS_PER_SECOND = 10_000;
const PERIOD_MS = 250;
/**
 * Gusts within this time count as one storm: collecting after each gust would take a few hundred
 * milliseconds, and the next gust would need the memory again.
 */
const CALM_AFTER_MS = 30_000;

interface HeapGrowthOptions {
  /** Records taken since the start. */
  records: () => number;
  clock: Clock;
  /** Sets the flags; replaceable in tests. */
  limit?: (isBusy: boolean) => void;
}

export class HeapGrowth implements Service {
  readonly #records: () => number;
  readonly #clock: Clock;
  readonly #limit: (isBusy: boolean) => void;
  #timer: Timer | null = null;
  #before = 0;
  /** When the agent was last busy, its start included; null: calm. */
  #busyMs: number | null = null;

  constructor({ records, clock, limit = limitGrowth }: HeapGrowthOptions) {
    this.#records = records;
    this.#clock = clock;
    this.#limit = limit;
  }

  /** The start counts as a gust: collecting its garbage at once would hold it up by a fifth of a second. */
  async start(): Promise<void> {
    this.#busyMs = this.#clock.monoMs();
    this.#timer = this.#clock.every(PERIOD_MS, () => this.#look());
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
  }

  #look(): void {
    const records = this.#records();
    const isBusy = records - this.#before >= (BUSY_RECORDS_PER_SECOND * PERIOD_MS) / 1000;
    this.#before = records;
    const nowMs = this.#clock.monoMs();
    if (isBusy) {
      if (this.#busyMs === null) this.#limit(true);
      this.#busyMs = nowMs;
    } else if (this.#busyMs !== null && nowMs - this.#busyMs >= CALM_AFTER_MS) {
      this.#busyMs = null;
      this.#limit(false);
    }
  }
}

function limitGrowth(isBusy: boolean): void {
  for (const flag of isBusy ? BUSY_FLAGS : CALM_FLAGS) setFlagsFromString(flag);
  if (!isBusy) collectGarbage();
}

/**
 * Without this, a storm's garbage would stay: V8 collects when the heap is full or when allocation nearly
 * stops, and only this kind of collection returns the pages to the system. It takes as long as several
 * ordinary ones.
 */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
