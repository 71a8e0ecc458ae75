/**
 * One downlink from the router to this gateway, polled in a loop. The other end holds each question until
 * there is an answer or the question's time ends. Failures are retried for ever, with backoff (I9).
 */
import { Backoff } from '../../shared/backoff.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';

const PAUSES = { firstMs: 500, lastMs: 30_000 };

/** A poll of a router, a subscription or a shadow. */
export interface ReceiptQuestion {
  /** Minimum time from the start of one question to the start of the next (I10). */
  readonly spacingMs: number;
  /**
   * Null when the question was answered, with or without a receipt; else the problem. Settles in bounded
   * time; never rejects.
   */
  ask(): Promise<string | null>;
  /** Ends the question under way. */
  close(): void;
}

export interface DownlinkOptions {
  name: string;
  question: ReceiptQuestion;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

export class Downlink implements Service {
  readonly name: string;
  readonly #options: DownlinkOptions;
  readonly #stopping = new AbortController();
  readonly #backoff: Backoff;
  #isUp: boolean = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: DownlinkOptions) {
    this.name = options.name;
    this.#options = options;
    this.#backoff = new Backoff(PAUSES, options.entropy);
  }

  /** Whether the last question was answered. */
  get isUp(): boolean {
    return this.#isUp;
  }

  start(): Promise<void> {
    this.#running = this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#options.question.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, question } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const startedMs = clock.monoMs();
      const problem = await question.ask();
      if (signal.aborted) return;
      const spacingMs = question.spacingMs - (clock.monoMs() - startedMs);
      const pauseMs = problem === null ? this.#up(spacingMs) : this.#down(problem);
      if (pauseMs > 0) await clock.sleep(pauseMs, signal);
    }
  }

  /** Returns the pause before the next question, in milliseconds. */
  #up(spacingMs: number): number {
    if (!this.#isUp) this.#options.log.info({ event: 'downlink.up', downlink: this.name });
    this.#isUp = true;
    this.#backoff.reset();
    return spacingMs;
  }

  /** Logs the first failure in a row; returns the pause before the next question, in milliseconds. */
  #down(problem: string): number {
    if (this.#isUp || this.#backoff.failures === 0)
      this.#options.log.warn({ event: 'downlink.down', downlink: this.name, problem });
    this.#isUp = false;
    return this.#backoff.failed();
  }
}
