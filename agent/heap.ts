/**
 * How far V8 lets the garbage of this process grow before it collects it. By itself it goes by the memory of the machine: on a
 * large one to several times what is in use. It reads the flag at each collection, for all threads, so that it may change while
 * the agent runs: in calm hours the heap stays small, and a storm is not slowed by collections (docs/benchmarks.md, footprint).
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock, Timer } from '../shared/clock.ts';
import type { Service } from '../shared/service.ts';

const CALM_PERCENT = 20;
/** V8's own choice. */
const BUSY_PERCENT = 0;
const BUSY_RECORDS_PER_SECOND = 10_000;
const PERIOD_MS = 1000;

export class HeapGrowth implements Service {
  readonly #records: () => number;
  readonly #clock: Clock;
  readonly #limit: (percent: number) => void;
  #timer: Timer | null = null;
  #before = 0;
  #isBusy = false;

  /** `records`: taken since the start. */
  constructor({ records, clock, limit = limitGrowth }: HeapGrowthOptions) {
    this.#records = records;
    this.#clock = clock;
    this.#limit = limit;
  }

  async start(): Promise<void> {
    this.#limit(CALM_PERCENT);
    this.#timer = this.#clock.every(PERIOD_MS, () => this.#look());
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
  }

  #look(): void {
    const records = this.#records();
    const isBusy = records - this.#before >= (BUSY_RECORDS_PER_SECOND * PERIOD_MS) / 1000;
    this.#before = records;
    if (isBusy === this.#isBusy) return;
    this.#isBusy = isBusy;
    this.#limit(isBusy ? BUSY_PERCENT : CALM_PERCENT);
  }
}

interface HeapGrowthOptions {
  records: () => number;
  clock: Clock;
  /** Sets the most that garbage may add to what is in use; 0: as V8 chooses. */
  limit?: (percent: number) => void;
}

function limitGrowth(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
  if (percent > 0) collectGarbage();
}

/**
 * What a storm left behind would stay: V8 collects when the heap is full, or when hardly anything is allocated, and only this kind of
 * collection gives its pages back to the system. It takes as long as a few others together.
 */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
