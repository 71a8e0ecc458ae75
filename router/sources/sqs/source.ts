/**
 * Reads an SQS queue that an IoT rule fills (the rule's SQL is in the AWS set-up guide). A message is deleted
 * only after the handler settled it (I5); everything else comes back by itself, so no failure here can lose a
 * message.
 */
import { Agent } from 'node:https';
import type { SQSClient } from '@aws-sdk/client-sqs';
import { sdkCredentials, sdkFailure, trustedCa } from '../../../shared/aws.ts';
import {
  type DeliveryHandler,
  initialSourceState,
  type Source,
  type SourceDeps,
  type SourceState,
} from '../source.ts';
import { attributeNumber, deliveryOf } from './delivery.ts';
import type { SqsOptions } from './options.ts';

type Sdk = typeof import('@aws-sdk/client-sqs');

/** Receives under way at a time: while one batch is being committed the next is on its way. */
const RECEIVERS = 2;
/** SQS gives no more at once, and waits no longer (Amazon SQS API reference, ReceiveMessage). */
const BATCH_SIZE = 10;
const WAIT_SECONDS = 20;
/** A request that takes longer than its long poll and this is dead. */
const REQUEST_MARGIN_MS = 10_000;
const BACKOFF_MIN_MS = 200;
const BACKOFF_MAX_MS = 30_000;
/** How long a message that could not be committed rests, at most; doubled with each delivery. */
const RETRY_SECONDS_MAX = 60;
const STOP_MS = 5000;
/**
 * How often the queue is asked how much waits in it: a request like any other on the bill, 90,000 a month.
 */
const BACKLOG_PERIOD_MS = 30_000;
const BACKLOG_FIRST_MS = 1000;

export interface SqsDeps extends SourceDeps {
  backlogPeriodMs?: number;
}

export class SqsSource implements Source {
  readonly name: string;
  readonly type = 'aws';
  readonly #options: SqsOptions;
  readonly #deps: SqsDeps;
  readonly #stopping = new AbortController();
  readonly #state = initialSourceState();
  #client: SQSClient | null = null;
  #running: Promise<void>[] = [];

  constructor(name: string, options: SqsOptions, deps: SqsDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
  }

  state(): SourceState {
    return { ...this.#state };
  }

  async start(handler: DeliveryHandler): Promise<void> {
    const sdk = await import('@aws-sdk/client-sqs');
    const { region, endpoint } = this.#options;
    const client = new sdk.SQSClient({
      region,
      ...(endpoint !== undefined && { endpoint }),
      ...sdkCredentials(this.#options),
      maxAttempts: 1,
      requestHandler: {
        httpsAgent: new Agent({ ...(await trustedCa(this.#options)), keepAlive: true }),
      },
    });
    this.#client = client;
    const receivers = Array.from({ length: RECEIVERS }, () => this.#receive(sdk, client, handler));
    this.#running = [...receivers, this.#followBacklog(sdk, client)];
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    const done = new AbortController();
    await Promise.race([Promise.all(this.#running), this.#deps.clock.sleep(STOP_MS, done.signal)]);
    done.abort();
    this.#client?.destroy();
    this.#state.connected = false;
    this.#state.backlog = null;
  }

  /** One receiver: batch after batch until stopped. Never rejects. */
  async #receive(sdk: Sdk, client: SQSClient, handler: DeliveryHandler): Promise<void> {
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#batch(sdk, client, handler);
        failures = 0;
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        failures += 1;
        await this.#rest(error, failures);
      }
    }
  }

  /** After a failure: says so, and waits, longer each time, with full jitter above the minimum. */
  async #rest(error: unknown, failures: number): Promise<void> {
    const { text } = sdkFailure(error);
    const ceilingMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** failures);
    const delayMs = BACKOFF_MIN_MS + this.#deps.entropy.float() * (ceilingMs - BACKOFF_MIN_MS);
    this.#state.connected = false;
    this.#state.lastError = text;
    this.#state.backlog = null;
    this.#deps.log.warn({ source: this.name, error: text, failures, delayMs }, 'source.sqs.failed');
    await this.#deps.clock.sleep(delayMs, this.#stopping.signal);
  }

  /**
   * Apart from the receivers, which may wait for the ledger. Never rejects: a refusal (the question needs a
   * permission of its own) says nothing of the reading, and is told once.
   */
  async #followBacklog(sdk: Sdk, client: SQSClient): Promise<void> {
    const { clock, log, backlogPeriodMs = BACKLOG_PERIOD_MS } = this.#deps;
    const { signal } = this.#stopping;
    let told: boolean = false;
    await clock.sleep(Math.min(BACKLOG_FIRST_MS, backlogPeriodMs), signal);
    while (!signal.aborted) {
      try {
        this.#state.backlog = this.#state.connected ? await this.#backlog(sdk, client) : null;
        told = false;
      } catch (error) {
        this.#state.backlog = null;
        const { text } = sdkFailure(error);
        if (!told && !signal.aborted)
          log.warn({ source: this.name, error: text }, 'source.sqs.backlog_unknown');
        told = true;
      }
      await clock.sleep(backlogPeriodMs, signal);
    }
  }

  /** Messages that no router has in hand. */
  async #backlog(sdk: Sdk, client: SQSClient): Promise<number | null> {
    const question = new sdk.GetQueueAttributesCommand({
      QueueUrl: this.#options.queue_url,
      AttributeNames: ['ApproximateNumberOfMessages'],
    });
    const { Attributes } = await this.#poll(0, (abortSignal) => client.send(question, { abortSignal }));
    return attributeNumber(Attributes?.ApproximateNumberOfMessages);
  }

  async #batch(sdk: Sdk, client: SQSClient, handler: DeliveryHandler): Promise<void> {
    // The first poll, and the first after a failure, comes back at once: it tells whether the queue is there.
    const waitSeconds = this.#state.connected ? WAIT_SECONDS : 0;
    const { Messages: messages = [] } = await this.#poll(waitSeconds * 1000, (abortSignal) =>
      client.send(
        new sdk.ReceiveMessageCommand({
          QueueUrl: this.#options.queue_url,
          MaxNumberOfMessages: BATCH_SIZE,
          WaitTimeSeconds: waitSeconds,
          VisibilityTimeout: Math.ceil(this.#options.visibility_timeout / 1000),
          MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp'],
        }),
        { abortSignal },
      ),
    );
    this.#state.connected = true;
    if (messages.length === 0) return;
    this.#state.received += messages.length;
    this.#state.lastReceivedMs = this.#deps.clock.wallMs();
    const handled = await Promise.all(
      messages.map(async (message, index) => {
        const delivery = deliveryOf(this.name, message);
        return {
          Id: String(index),
          ReceiptHandle: message.ReceiptHandle,
          settlement: await handler(delivery),
          deliveryCount: delivery.deliveryCount,
        };
      }),
    );
    const settled = handled.filter(({ settlement }) => settlement === 'settle');
    const retried = handled.filter(({ settlement }) => settlement === 'retry');
    await Promise.all([this.#delete(sdk, client, settled), this.#defer(sdk, client, retried)]);
  }

  /**
   * Only now, after the commit (I5). A delete that fails means a redelivery, which the ledger takes for a
   * duplicate.
   */
  async #delete(sdk: Sdk, client: SQSClient, handled: Handled[]): Promise<void> {
    if (handled.length === 0) return;
    const Entries = handled.map(({ Id, ReceiptHandle }) => ({ Id, ReceiptHandle }));
    const answer = await this.#bounded(0, (abortSignal) =>
      client.send(new sdk.DeleteMessageBatchCommand({ QueueUrl: this.#options.queue_url, Entries }), {
        abortSignal,
      }),
    );
    this.#state.settled += answer.Successful?.length ?? 0;
    const failed = answer.Failed ?? [];
    if (failed.length === 0) return;
    this.#deps.log.warn(
      { source: this.name, failed: failed.length, code: failed[0]?.Code },
      'source.sqs.not_deleted',
    );
  }

  /**
   * Brings redelivery of what could not be committed forward, from the visibility timeout to a short
   * back-off.
   */
  async #defer(sdk: Sdk, client: SQSClient, handled: Handled[]): Promise<void> {
    if (handled.length === 0) return;
    const Entries = handled.map(({ Id, ReceiptHandle, deliveryCount }) => ({
      Id,
      ReceiptHandle,
      VisibilityTimeout: Math.min(RETRY_SECONDS_MAX, 2 ** ((deliveryCount ?? 1) - 1)),
    }));
    await this.#bounded(0, (abortSignal) =>
      client.send(
        new sdk.ChangeMessageVisibilityBatchCommand({ QueueUrl: this.#options.queue_url, Entries }),
        {
          abortSignal,
        },
      ),
    );
  }

  /** A request that a stop ends at once. What SQS had just handed out is visible again after its timeout. */
  async #poll<T>(waitMs: number, request: (limit: AbortSignal) => Promise<T>): Promise<T> {
    const limit = new AbortController();
    const abort = (): void => limit.abort();
    this.#stopping.signal.addEventListener('abort', abort);
    try {
      return await this.#bounded(waitMs, request, limit);
    } finally {
      this.#stopping.signal.removeEventListener('abort', abort);
    }
  }

  /** Runs a request with an end to it, whatever the network does. */
  async #bounded<T>(
    waitMs: number,
    request: (limit: AbortSignal) => Promise<T>,
    limit = new AbortController(),
  ): Promise<T> {
    const timer = this.#deps.clock.setTimer(waitMs + REQUEST_MARGIN_MS, () => limit.abort());
    try {
      return await request(limit.signal);
    } finally {
      timer.cancel();
    }
  }
}

interface Handled {
  Id: string;
  ReceiptHandle: string | undefined;
  deliveryCount: number | null;
}
