/**
 * The SDK's client of one queue, with a deadline on every request. The SDK's abort signal reaches neither its
 * credential look-up nor all of its connects, so each phase races a deadline. After a timeout the client is
 * discarded with its sockets and its credential provider, and the next request makes a new client.
 */
import type { SQSClient } from '@aws-sdk/client-sqs';
import { sdkCredentials, sdkFailure, trustedCa } from '../../../shared/aws.ts';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { within } from '../../../shared/within.ts';
import { queueEndpoint, type SqsOptions } from './options.ts';
import { type Phase, PhaseAgent } from './phase-agent.ts';

export type Sdk = typeof import('@aws-sdk/client-sqs');

/** Limit for the credentials, and for an answer beyond the long poll's wait. */
const PHASE_MS = 5000;
/** Limit for an answer whose bytes keep arriving. */
const REQUEST_MS_MAX = 30_000;

/** A phase before the request failed, or a phase got no answer in time. */
export class PhaseError extends Error {
  /** No answer came, and the client was replaced. */
  readonly isSilence: boolean;

  constructor(phase: Phase | 'configuration' | 'credentials', problem: string, isSilence: boolean) {
    super(`${phase}: ${problem}`);
    this.isSilence = isSilence;
  }
}

/** Another request found the connection silent. */
export class Discarded extends Error {}

interface Made {
  client: SQSClient;
  agent: PhaseAgent;
}

interface Connection {
  made: Promise<Made>;
  /** Why the client was discarded; all its running requests fail for this reason. */
  silence: PhaseError | null;
}

export interface QueueClientOptions {
  options: SqsOptions;
  clock: Clock;
  /** Limit for the credentials, and for an answer beyond the long poll's wait. */
  phaseMs?: number | undefined;
}

export class QueueClient {
  readonly #options: SqsOptions;
  readonly #clock: Clock;
  readonly #phaseMs: number;
  #connection: Connection | null = null;

  constructor({ options, clock, phaseMs = PHASE_MS }: QueueClientOptions) {
    this.#options = options;
    this.#clock = clock;
    this.#phaseMs = phaseMs;
  }

  /**
   * Sends the result of `request`, which the queue may hold back for `waitMs` milliseconds, unless `stopping`
   * aborts. Rejects with {@link PhaseError}, or with the SDK's error.
   */
  async ask<Output>(
    request: (sdk: Sdk, client: SQSClient, limit: AbortSignal) => Promise<Output>,
    { waitMs = 0, stopping }: { waitMs?: number; stopping?: AbortSignal } = {},
  ): Promise<Output> {
    const sdk = await import('@aws-sdk/client-sqs');
    this.#connection ??= { made: this.#connect(sdk), silence: null };
    const connection = this.#connection;
    const over = new AbortController();
    const limit = stopping ? AbortSignal.any([stopping, over.signal]) : over.signal;
    try {
      const { client, agent } = await connection.made;
      await this.#credentials(client);
      return await this.#answer(agent, waitMs, request(sdk, client, limit));
    } catch (error) {
      over.abort();
      // The first silence on a connection is reported; the later ones follow from it.
      if (connection.silence) throw new Discarded(connection.silence.message);
      if (!(error instanceof PhaseError && error.isSilence)) throw error;
      connection.silence = error;
      await this.#discard(connection);
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#connection) await this.#discard(this.#connection);
  }

  async #connect(sdk: Sdk): Promise<Made> {
    try {
      // Read for each client, so that a renewed file takes effect.
      const agent = new PhaseAgent(await trustedCa(this.#options), {
        access: this.#options,
        clock: this.#clock,
      });
      const client = new sdk.SQSClient({
        region: this.#options.region,
        endpoint: queueEndpoint(this.#options).url,
        ...sdkCredentials(this.#options),
        maxAttempts: 1,
        requestHandler: { httpsAgent: agent },
      });
      return { client, agent };
    } catch (error) {
      this.#connection = null;
      throw new PhaseError('configuration', errorText(error), false);
    }
  }

  /** Resolves the credentials first; the request then gets the same ones from the provider's cache. */
  async #credentials(client: SQSClient): Promise<void> {
    const found = client.config.credentials().then(
      () => null,
      (error: unknown) => new PhaseError('credentials', sdkFailure(error).text, false),
    );
    const failure = await within(this.#clock, this.#phaseMs, found, () =>
      silence('credentials', this.#phaseMs),
    );
    if (failure !== null) throw failure;
  }

  /**
   * Rejects when nothing arrives for `phaseMs` after the wait; arriving bytes extend the limit by as much.
   */
  async #answer<Output>(agent: PhaseAgent, waitMs: number, work: Promise<Output>): Promise<Output> {
    const startedMs = this.#clock.monoMs();
    const answered = work.then((output) => ({ output }));
    for (let limitMs = waitMs + this.#phaseMs; ; limitMs = this.#phaseMs) {
      const before = agent.bytesRead;
      const answer = await within(this.#clock, limitMs, answered, () => null);
      if (answer) return answer.output;
      const tookMs = this.#clock.monoMs() - startedMs;
      if (agent.bytesRead === before || tookMs > waitMs + REQUEST_MS_MAX)
        throw silence(agent.phase, Math.round(tookMs));
    }
  }

  async #discard(connection: Connection): Promise<void> {
    if (this.#connection === connection) this.#connection = null;
    const made = await connection.made.catch(() => null);
    made?.client.destroy();
    made?.agent.destroy();
  }
}

function silence(phase: Phase | 'credentials', limitMs: number): PhaseError {
  return new PhaseError(phase, `no answer in ${limitMs} ms`, true);
}
