/**
 * The long poll at a router: one request after the other, each held by the router until there is a receipt or its time is over. Every
 * answer, also one without news, is a sign that the router is there. What goes wrong is tried again for ever, more and more slowly (I9).
 */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import { type RouterAnswer, RouterClient, statusText } from '../cloud/https/router-client.ts';
import type { ReceiptTracker } from '../forward/receipt-tracker.ts';
import type { DownlinkConfig } from './options.ts';
import type { ReceiptReceiver } from './receiver.ts';

/** How long the router may hold a request: shorter while something waits for a receipt, so that its absence is noticed. */
const WAIT_S = 20;
const WAIT_BUSY_S = 2;
/** Beyond that an answer is overdue: the router waits out its own interval too. */
const SLACK_MS = 10_000;
/** From the beginning of one request to that of the next (I10). */
const SPACING_MS = 250;
const PAUSE_FIRST_MS = 500;
const PAUSE_LAST_MS = 30_000;

export interface HttpsDownlinkOptions {
  config: DownlinkConfig;
  gateway: string;
  receiver: ReceiptReceiver;
  tracker: Pick<ReceiptTracker, 'heard' | 'lost' | 'isWaiting'>;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

export class HttpsDownlink implements Service {
  readonly name: string;
  readonly #options: HttpsDownlinkOptions;
  readonly #stopping = new AbortController();
  #client: RouterClient | null = null;
  #isUp: boolean = false;
  #failures = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: HttpsDownlinkOptions) {
    this.name = options.config.name;
    this.#options = options;
  }

  /** The last request was answered. */
  get isUp(): boolean {
    return this.#isUp;
  }

  start(): Promise<void> {
    this.#running = this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#client?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const startedMs = clock.monoMs();
      const problem = await this.#poll();
      if (signal.aborted) return;
      if (problem === null) this.#up();
      else this.#down(problem);
      const pauseMs = problem === null ? SPACING_MS - (clock.monoMs() - startedMs) : this.#pauseMs();
      if (pauseMs > 0) await clock.sleep(pauseMs, signal);
    }
  }

  /** Null when the router answered, else what went wrong. */
  async #poll(): Promise<string | null> {
    const { config, gateway, receiver, tracker, clock } = this.#options;
    try {
      this.#client ??= await RouterClient.open(config, clock);
    } catch (error) {
      return errorText(error);
    }
    const client = this.#client;
    // Stopped while it was opened.
    if (this.#stopping.signal.aborted) client.close();
    const waitS = tracker.isWaiting ? WAIT_BUSY_S : WAIT_S;
    const path = `v1/gateways/${gateway}/downlink?after=${receiver.version}&wait=${waitS}`;
    return this.#taken(await client.send({ method: 'GET', path, gateway }, waitS * 1000 + SLACK_MS));
  }

  #taken(answer: RouterAnswer): string | null {
    const { receiver, config } = this.#options;
    if (answer.kind === 'failed') return answer.text;
    if (answer.status === 204) return null;
    if (answer.status === 200)
      return receiver.receive(config.name, answer.body) ? null : 'its answer is no receipt';
    // Files may be renewed meanwhile: they are read again.
    if ((answer.status === 401 || answer.status === 403) && !answer.clockMoved) {
      this.#client?.close();
      this.#client = null;
    }
    return statusText(answer.status);
  }

  #up(): void {
    const { log, tracker } = this.#options;
    if (!this.#isUp) log.info({ event: 'downlink.up', downlink: this.name });
    this.#isUp = true;
    this.#failures = 0;
    tracker.heard();
  }

  /** The first line says why; what follows is counted by the metric. */
  #down(problem: string): void {
    const { log, tracker } = this.#options;
    if (this.#isUp || this.#failures === 0)
      log.warn({ event: 'downlink.down', downlink: this.name, problem });
    this.#isUp = false;
    this.#failures += 1;
    tracker.lost();
  }

  #pauseMs(): number {
    const ceilingMs = Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** (this.#failures - 1));
    return ceilingMs * (0.5 + this.#options.entropy.float() / 2);
  }
}
