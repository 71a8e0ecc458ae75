/**
 * How far V8 lets the garbage of this process grow before it collects it. By itself it goes by the memory of
 * the machine: on a large one to several times what is in use. It reads the flag at each collection, for all
 * threads, so that it may change while the agent runs: in calm hours the heap stays small, and a storm is not
 * slowed by collections (docs/reference/benchmarks.md, footprint).
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Service } from '../../shared/service.ts';

/** Garbage may add so much to what is in use; a new object's first place, a megabyte twice, does not grow. */
const CALM_FLAGS = ['--heap-growing-percent=20', '--semi-space-growth-factor=1'];
/** V8's own choices. */
const BUSY_FLAGS = ['--heap-growing-percent=0', '--semi-space-growth-factor=2'];
const BUSY_RECORDS_PER_SECOND = 10_000;
const PERIOD_MS = 250;
/**
 * A storm that comes in gusts is one: to collect what it left takes a few hundred milliseconds, and the next
 * gust would need it again.
 */
const CALM_AFTER_MS = 30_000;

interface HeapGrowthOptions {
  /** Taken since the start. */
  records: () => number;
  clock: Clock;
  /** How it is done. */
  limit?: (isBusy: boolean) => void;
}

export class HeapGrowth implements Service {
  readonly #records: () => number;
  readonly #clock: Clock;
  readonly #limit: (isBusy: boolean) => void;
  #timer: Timer | null = null;
  #before = 0;
  /** When it was last busy; null: calm. */
  #busyMs: number | null = null;

  constructor({ records, clock, limit = limitGrowth }: HeapGrowthOptions) {
    this.#records = records;
    this.#clock = clock;
    this.#limit = limit;
  }

  async start(): Promise<void> {
    this.#limit(false);
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
 * What a storm left behind would stay: V8 collects when the heap is full, or when hardly anything is
 * allocated, and only this kind of collection gives its pages back to the system. It takes as long as a few
 * others together.
 */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
