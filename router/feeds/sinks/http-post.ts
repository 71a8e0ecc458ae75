/**
 * POSTs to one URL: one try with a deadline, over a connection that is kept, reading only part of long
 * answers.
 */
import { type Agent, type IncomingMessage, request } from 'node:http';
import { request as tlsRequest } from 'node:https';
import type { Clock } from '../../../shared/clock.ts';
import { PlainAgent, SecureAgent } from '../../../shared/network/agents.ts';
import type { NetworkAccess } from '../../../shared/network/options.ts';

export interface HttpPostOptions {
  url: string;
  /** PEM of the authorities to trust; null for the usual ones. */
  ca: string | null;
  /** From the first byte of the connection to the last of the answer. */
  timeoutMs: number;
  network: NetworkAccess;
  clock: Clock;
}

export interface HttpAnswer {
  status: number;
  /** The value of Retry-After; null where there is none. */
  retryAfter: string | null;
  /** The receiver's time, of which a Retry-After speaks. */
  date: string | undefined;
}

/** Nothing uses the body of an answer. A longer body is not read to its end: the connection is closed. */
const ANSWER_BYTES_MAX = 64 * 1024;

export class HttpPost {
  readonly #url: URL;
  readonly #agent: Agent;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  #abandon: (reason: Error) => void = () => undefined;

  constructor({ url, ca, timeoutMs, network: access, clock }: HttpPostOptions) {
    this.#url = new URL(url);
    const pool = { keepAlive: true, maxSockets: 1 };
    this.#agent =
      this.#url.protocol === 'https:'
        ? new SecureAgent({ ...pool, ...(ca === null ? {} : { ca }) }, { access, clock })
        : new PlainAgent(pool, { access, clock });
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  /** Resolves with any answer, redirects included; rejects without one. One request at a time. */
  send(
    headers: Readonly<Record<string, string>>,
    body: Buffer,
    method: 'POST' | 'OPTIONS' = 'POST',
  ): Promise<HttpAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const open = this.#url.protocol === 'https:' ? tlsRequest : request;
    const sending = open(
      this.#url,
      { method, agent: this.#agent, headers: { ...headers, 'content-length': String(body.length) } },
      (answer) => discard(answer, resolve, reject),
    );
    // Rejected here and not by an event: which event follows depends on how much of the answer has arrived.
    const abandon = (reason: Error): void => {
      reject(reason);
      sending.destroy(reason);
    };
    this.#abandon = abandon;
    sending.on('error', reject);
    sending.end(body);
    const timer = this.#clock.setTimer(this.#timeoutMs, () =>
      abandon(new Error(`no answer within ${this.#timeoutMs / 1000} s`)),
    );
    return promise.finally(() => timer.cancel());
  }

  /** Ends the current request and the connection. */
  close(): void {
    this.#abandon(new Error('the feed was stopped'));
    this.#agent.destroy();
  }
}

function discard(
  answer: IncomingMessage,
  resolve: (answer: HttpAnswer) => void,
  reject: (reason: Error) => void,
): void {
  const told: HttpAnswer = {
    status: answer.statusCode ?? 0,
    retryAfter: answer.headers['retry-after'] ?? null,
    date: answer.headers.date,
  };
  let bytes = 0;
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= ANSWER_BYTES_MAX) return;
    answer.destroy();
    resolve(told);
  });
  answer.once('end', () => resolve(told));
  answer.on('error', reject);
}
