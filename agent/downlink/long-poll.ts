/** The long poll at a router. Every answer, also one without a receipt, proves that the router is up. */
import type { Clock } from '../../shared/clock.ts';
import { errorText } from '../../shared/log.ts';
import { timeLimit } from '../../shared/time-limit.ts';
import { type RouterAnswer, RouterClient, statusText } from '../providers/https/router-client.ts';
import type { ReceiptQuestion } from './downlink.ts';
import type { HttpsDownlinkConfig } from './options.ts';
import type { ReceiptTracker } from './receipt-tracker.ts';
import type { ReceiptReceiver, ReceiptResult } from './receiver.ts';

type RouterConnection = Pick<RouterClient, 'send' | 'close'>;

/**
 * Longest time that the router may hold a request. Shorter while records wait for a receipt, to notice a
 * missing receipt early.
 */
const WAIT_S = 20;
const WAIT_BUSY_S = 2;
/** Beyond this, the answer is overdue. The slack includes the router's own interval. */
const SLACK_MS = 10_000;
const SPACING_MS = 250;

/** A receipt that does not count is no answer of the router: it is asked again after a pause. */
const PROBLEMS: Readonly<Record<ReceiptResult, string | null>> = {
  applied: null,
  old: null,
  malformed: 'its answer is not a receipt',
  implausible: 'the version of its receipt is far ahead of the clock',
  foreign: 'its receipt is for another gateway',
  unsigned: 'its receipt is not signed',
  'unknown-key': 'its receipt is signed by a key that is not in router_keys',
  signature: 'its receipt has a wrong signature',
};

export interface LongPollOptions {
  config: HttpsDownlinkConfig;
  gateway: string;
  receiver: ReceiptReceiver;
  tracker: Pick<ReceiptTracker, 'onRouterAnswer' | 'onRouterSilent' | 'isWaiting'>;
  clock: Clock;
  /** Rejects when the files are unusable. Default: a connection over TLS. */
  open?: (config: HttpsDownlinkConfig, clock: Clock) => Promise<RouterConnection>;
}

export class LongPoll implements ReceiptQuestion {
  readonly spacingMs = SPACING_MS;
  readonly #options: LongPollOptions;
  #client: RouterConnection | null = null;
  readonly #closing = new AbortController();

  constructor(options: LongPollOptions) {
    this.#options = options;
  }

  async ask(): Promise<string | null> {
    const problem = await this.#poll();
    if (this.#closing.signal.aborted) return problem;
    if (problem === null) this.#options.tracker.onRouterAnswer();
    else this.#options.tracker.onRouterSilent();
    return problem;
  }

  close(): void {
    this.#closing.abort();
    this.#client?.close();
  }

  async #poll(): Promise<string | null> {
    const { config, gateway, receiver, tracker, clock, open = RouterClient.open } = this.#options;
    try {
      this.#client ??= await open(config, clock);
    } catch (error) {
      return errorText(error);
    }
    const client = this.#client;
    // Stopped while the connection was being opened.
    if (this.#closing.signal.aborted) client.close();
    const waitS = tracker.isWaiting ? WAIT_BUSY_S : WAIT_S;
    const path = `v1/gateways/${gateway}/downlink?after=${receiver.versionOf(config.name)}&wait=${waitS}`;
    const limitMs = waitS * 1000 + SLACK_MS;
    const limit = timeLimit(clock, limitMs, this.#closing.signal);
    const attempt = { endsAtMs: clock.monoMs() + limitMs, signal: limit.signal };
    const answer = await client.send({ method: 'GET', path, gateway }, attempt);
    limit.end();
    return limit.isOver ? `no answer in ${limitMs} ms` : this.#taken(answer);
  }

  #taken(answer: RouterAnswer): string | null {
    const { receiver, config } = this.#options;
    if (answer.kind === 'failed') return answer.text;
    if (answer.status === 204) return null;
    if (answer.status === 200) {
      return PROBLEMS[receiver.receive(config.name, answer.body)];
    }
    // The credential files may be renewed meanwhile: they are read again.
    if ((answer.status === 401 || answer.status === 403) && !answer.clockMoved) {
      this.#client?.close();
      this.#client = null;
    }
    return statusText(answer.status);
  }
}
