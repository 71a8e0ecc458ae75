/** The ledger's upkeep in the background: what is past its bound goes, a little at a time, beside the commits. */
import type { Clock } from '../shared/clock.ts';
import { errorText, type Logger } from '../shared/log.ts';
import type { Service } from '../shared/service.ts';
import type { LedgerUpkeep } from './ledger/upkeep.ts';

export interface UpkeepOptions {
  upkeep: LedgerUpkeep;
  clock: Clock;
  log: Logger;
  /** Between the end of one round and the next. */
  periodMs?: number;
}

const PERIOD_MS = 60_000;

export function createUpkeep(options: UpkeepOptions): Service {
  return new Upkeep(options);
}

class Upkeep implements Service {
  readonly #options: UpkeepOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  start(): Promise<void> {
    this.#running = this.#run();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#stopping.abort();
    return this.#running;
  }

  /** Never rejects: a ledger that is away is looked after when it is back (I9). */
  async #run(): Promise<void> {
    const { clock, log, periodMs = PERIOD_MS } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#round();
      } catch (error) {
        log.warn({ event: 'upkeep.failed', error: errorText(error) });
      }
      await clock.sleep(periodMs, signal);
    }
  }

  async #round(): Promise<void> {
    const { upkeep, clock } = this.#options;
    await upkeep.expire(clock.wallMs());
  }
}
