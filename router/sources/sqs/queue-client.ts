/**
 * The SDK's client of one queue, with an end to every question. The SDK's abort signal reaches neither its
 * look-up of credentials nor all of its connects, so each phase is raced with a deadline; a client on which a
 * phase was late is thrown away with its sockets and its credential provider, and the next question makes a
 * new one.
 */
import type { SQSClient } from '@aws-sdk/client-sqs';
import { sdkCredentials, sdkFailure, trustedCa } from '../../../shared/aws.ts';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { within } from '../../../shared/within.ts';
import type { SqsOptions } from './options.ts';
import { type Phase, PhaseAgent } from './phase-agent.ts';

export type Sdk = typeof import('@aws-sdk/client-sqs');

/** For the credentials, and for an answer beyond the time that the queue may wait. */
const PHASE_MS = 5000;
/** An answer of which bytes keep coming may take this long in all. */
const REQUEST_MS_MAX = 30_000;

/** A phase before the request failed, or a phase was not answered in time. */
export class PhaseError extends Error {
  /** Nothing was answered, and the client was replaced. */
  readonly isSilence: boolean;

  constructor(phase: Phase | 'ca_file' | 'credentials', problem: string, isSilence: boolean) {
    super(`${phase}: ${problem}`);
    this.isSilence = isSilence;
  }
}

/** Another question found the connection silent. */
export class Discarded extends Error {}

interface Made {
  client: SQSClient;
  agent: PhaseAgent;
}

interface Connection {
  made: Promise<Made>;
  /** Why it was thrown away; then every question under way on it fails for this reason. */
  silence: PhaseError | null;
}

export interface QueueClientOptions {
  options: SqsOptions;
  clock: Clock;
  /** For the credentials, and for an answer beyond the wait. */
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
   * Sends what `request` makes, which the queue may hold back for `waitMs` milliseconds, unless `stopping`
   * aborts. Rejects with {@link PhaseError}, or as the SDK does.
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
      // The first silence on a connection counts; the others came of it.
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
      const { region, endpoint } = this.#options;
      // Read each time, so that a renewed file is taken up.
      const agent = new PhaseAgent(await trustedCa(this.#options));
      const client = new sdk.SQSClient({
        region,
        ...(endpoint !== undefined && { endpoint }),
        ...sdkCredentials(this.#options),
        maxAttempts: 1,
        requestHandler: { httpsAgent: agent },
      });
      return { client, agent };
    } catch (error) {
      this.#connection = null;
      throw new PhaseError('ca_file', errorText(error), false);
    }
  }

  /** The request asks for them too, and is then given the same. */
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

  /** Rejects when nothing came for `phaseMs` after the wait; bytes that come give it as long again. */
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
