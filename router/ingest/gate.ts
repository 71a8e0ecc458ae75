/**
 * Closed while the ledger does not commit. The sources then receive nothing: a message that is received and
 * cannot be committed counts towards the provider's delivery limit, after which a redrive or dead-letter
 * policy removes it. The gate pings the ledger periodically and opens when the ledger answers. Only a commit
 * resets the backoff of the pings; an answer does not.
 */
import { Backoff } from '../../shared/backoff.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import { within } from '../../shared/within.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { IntakeGate } from '../sources/source.ts';

const BACKOFF = { firstMs: 500, lastMs: 5000 };
const PING_MS = 5000;

export interface LedgerGateOptions {
  ledger: Pick<Ledger, 'ping'>;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

export class LedgerGate implements IntakeGate, Service {
  readonly #options: LedgerGateOptions;
  readonly #stopping = new AbortController();
  readonly #backoff: Backoff;
  readonly #waiting = new Set<() => void>();
  #problem: string | null = null;
  #asking: Promise<void> = Promise.resolve();

  constructor(options: LedgerGateOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.entropy);
  }

  get isOpen(): boolean {
    return this.#problem === null;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#asking;
  }

  opened(signal: AbortSignal): Promise<void> {
    if (this.isOpen || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  /** The ledger has committed: resets the backoff. */
  committed(): void {
    this.#backoff.reset();
  }

  /** Closes the gate: the ledger commits nothing at present, because of `problem`. */
  close(problem: string): void {
    if (!this.isOpen || this.#stopping.signal.aborted) return;
    this.#problem = problem;
    this.#options.log.warn({ event: 'intake.paused', error: problem });
    this.#asking = this.#ask();
  }

  async #ask(): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    const sinceMs = clock.monoMs();
    while (!signal.aborted) {
      await clock.sleep(this.#backoff.failed(), signal);
      if (signal.aborted || (await this.#answers())) break;
    }
    this.#problem = null;
    for (const wake of [...this.#waiting]) wake();
    if (!signal.aborted)
      log.info({ event: 'intake.resumed', pausedMs: Math.round(clock.monoMs() - sinceMs) });
  }

  async #answers(): Promise<boolean> {
    const { ledger, clock, log } = this.#options;
    try {
      await within(clock, PING_MS, ledger.ping(), () => {
        throw new Error(`no answer in ${PING_MS} ms`);
      });
      return true;
    } catch (error) {
      log.debug({ event: 'intake.still_paused', error: errorText(error) });
      return false;
    }
  }
}
