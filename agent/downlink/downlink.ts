/**
 * One way from the router to this gateway, asked again and again: each question is held by whoever answers
 * until there is something, or its time is over. What goes wrong is tried again for ever, more and more
 * slowly (I9).
 */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';

const PAUSE_FIRST_MS = 500;
const PAUSE_LAST_MS = 30_000;

/** What the loop asks: a router, a subscription, a shadow. */
export interface ReceiptQuestion {
  /** From the beginning of one question to that of the next, at least (I10). */
  readonly spacingMs: number;
  /**
   * Null when it was answered, with a receipt or without, else what went wrong. Settles in bounded time;
   * never rejects.
   */
  ask(): Promise<string | null>;
  /** Ends what is under way. */
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
  #isUp: boolean = false;
  #failures = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: DownlinkOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** The last question was answered. */
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
      if (problem === null) this.#up();
      else this.#down(problem);
      const pauseMs = problem === null ? question.spacingMs - (clock.monoMs() - startedMs) : this.#pauseMs();
      if (pauseMs > 0) await clock.sleep(pauseMs, signal);
    }
  }

  #up(): void {
    if (!this.#isUp) this.#options.log.info({ event: 'downlink.up', downlink: this.name });
    this.#isUp = true;
    this.#failures = 0;
  }

  /** The first line says why; what follows is counted by the metric. */
  #down(problem: string): void {
    if (this.#isUp || this.#failures === 0)
      this.#options.log.warn({ event: 'downlink.down', downlink: this.name, problem });
    this.#isUp = false;
    this.#failures += 1;
  }

  #pauseMs(): number {
    const ceilingMs = Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** (this.#failures - 1));
    return ceilingMs * (0.5 + this.#options.entropy.float() / 2);
  }
}
