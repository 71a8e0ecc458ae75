/**
 * Reads an SQS queue that an IoT rule fills (the rule's SQL is in the AWS set-up guide). A message is deleted
 * only after the handler settled it (I5); every other message is delivered again, so no failure here loses a
 * message. While the ledger does not commit, the source receives nothing: each receive would count towards
 * the queue's redrive policy.
 */
import { isThrottled, sdkFailure } from '../../../shared/aws.ts';
import { Backoff } from '../../../shared/backoff.ts';
import { within } from '../../../shared/within.ts';
import {
  type Delivery,
  type DeliveryHandler,
  OPEN_GATE,
  type Settlement,
  type Source,
  type SourceDeps,
  type SourceState,
} from '../source.ts';
import { Standing } from '../standing.ts';
import { WaitingPlaces } from '../waiting-places.ts';
import { attributeNumber, deliveryOf } from './delivery.ts';
import type { SqsOptions } from './options.ts';
import { Discarded, PhaseError, QueueClient } from './queue-client.ts';

/** Concurrent receives: the next batch arrives while one is being committed. */
const RECEIVERS = 2;
/** The most messages of one receive (Amazon SQS API reference, ReceiveMessage). */
const BATCH_SIZE = 10;
/** The long poll's wait: SQS allows 20 s, but a dead connection would go unnoticed for as long. */
const WAIT_SECONDS = 5;
const BACKOFF = { firstMs: 400, lastMs: 10_000 };
/** The longest pause that a throttling queue can ask for. */
const ASKED_PAUSE_MS_MAX = 60_000;
/** The longest pause of a message that could not be committed; the pause doubles with each delivery. */
const RETRY_SECONDS_MAX = 60;
/**
 * The pause of a message that waits while others are committed; it doubles with each delivery. With the usual
 * redrive policy of five deliveries, such a message lasts for a quarter of an hour.
 */
const LATER_SECONDS = { first: 30, last: 900 };
/**
 * A message over a quota becomes a dead letter at its fifth delivery, which the usual redrive policy would
 * take for its last. A queue has at most 120,000 messages that wait (Amazon SQS developer guide, "Quotas").
 */
const OVER_QUOTA = { deliveries: 4, messages: 10_000 };
const STOP_MS = 5000;
/** How often the source asks for the number of waiting messages: a billed request, 90,000 a month. */
const BACKLOG_PERIOD_MS = 30_000;
const BACKLOG_FIRST_MS = 1000;

export interface SqsDeps extends SourceDeps {
  backlogPeriodMs?: number;
  /** Limit for each phase of a request. */
  phaseMs?: number;
}

export class SqsSource implements Source {
  readonly name: string;
  readonly type = 'aws';
  readonly #options: SqsOptions;
  readonly #deps: SqsDeps;
  readonly #stopping = new AbortController();
  readonly #standing = new Standing();
  readonly #queue: QueueClient;
  readonly #overQuota: WaitingPlaces;
  #running: Promise<void>[] = [];

  constructor(name: string, options: SqsOptions, deps: SqsDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
    this.#queue = new QueueClient({ options, clock: deps.clock, phaseMs: deps.phaseMs });
    this.#overQuota = new WaitingPlaces(OVER_QUOTA.messages, deps.clock);
  }

  state(): SourceState {
    return this.#standing.state();
  }

  start(handler: DeliveryHandler): Promise<void> {
    const receivers = Array.from({ length: RECEIVERS }, () => this.#receive(handler));
    this.#running = [...receivers, this.#followBacklog()];
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await within(this.#deps.clock, STOP_MS, Promise.all(this.#running), () => null);
    await this.#queue.close();
    this.#standing.stopped();
  }

  /** One receiver: takes batch after batch until stopped. Never rejects. */
  async #receive(handler: DeliveryHandler): Promise<void> {
    const { clock, entropy, gate = OPEN_GATE } = this.#deps;
    const { signal } = this.#stopping;
    const backoff = new Backoff(BACKOFF, entropy);
    while (!signal.aborted) {
      try {
        await gate.opened(signal);
        if (signal.aborted) return;
        await this.#batch(handler);
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        const delayMs = Math.max(backoff.failed(), askedPauseMs(error));
        this.#failed(error, { failures: backoff.failures, delayMs });
        await clock.sleep(delayMs, signal);
      }
    }
  }

  #failed(error: unknown, fields: Record<string, unknown>): void {
    const text = textOf(error);
    if (isThrottling(error)) this.#standing.throttled();
    if (error instanceof PhaseError && error.isSilence) this.#standing.cut(text);
    else this.#standing.lost(text);
    this.#deps.log.warn({ event: 'source.sqs.failed', source: this.name, error: text, ...fields });
  }

  /**
   * Independent of the receivers, which may wait for the ledger. Never rejects: a refusal (the request needs
   * a permission of its own) does not concern the receives, and is logged once.
   */
  async #followBacklog(): Promise<void> {
    const { clock, log, backlogPeriodMs = BACKLOG_PERIOD_MS } = this.#deps;
    const { signal } = this.#stopping;
    let logged: boolean = false;
    await clock.sleep(Math.min(BACKLOG_FIRST_MS, backlogPeriodMs), signal);
    while (!signal.aborted) {
      try {
        const backlog = this.#standing.connected ? await this.#backlog() : null;
        this.#standing.waiting(this.#standing.connected ? backlog : null);
        logged = false;
      } catch (error) {
        this.#standing.waiting(null);
        if (!logged && !signal.aborted)
          log.warn({ event: 'source.sqs.backlog_unknown', source: this.name, error: textOf(error) });
        logged = true;
      }
      await clock.sleep(backlogPeriodMs, signal);
    }
  }

  /** Messages that no router has in hand. */
  async #backlog(): Promise<number | null> {
    const { Attributes } = await this.#queue.ask(
      (sdk, client, abortSignal) => {
        const question = new sdk.GetQueueAttributesCommand({
          QueueUrl: this.#options.queue_url,
          AttributeNames: ['ApproximateNumberOfMessages'],
        });
        return client.send(question, { abortSignal });
      },
      { stopping: this.#stopping.signal },
    );
    return attributeNumber(Attributes?.ApproximateNumberOfMessages);
  }

  async #batch(handler: DeliveryHandler): Promise<void> {
    const messages = await this.#messages();
    const hiddenUntilMs = this.#deps.clock.monoMs() + this.#options.visibility_timeout;
    this.#standing.proven();
    if (messages.length === 0) return;
    this.#standing.received(messages.length, this.#deps.clock.wallMs());
    const handled = await Promise.all(
      messages.map(async (message, index) => {
        const delivery = deliveryOf(this.name, message);
        return {
          Id: String(index),
          ReceiptHandle: message.ReceiptHandle,
          settlement: await handler({ ...delivery, mayWait: () => this.#mayWait(delivery) }),
          deliveryCount: delivery.deliveryCount,
        };
      }),
    );
    const settled = handled.filter(({ settlement }) => settlement === 'settle');
    const retried = handled.filter(({ settlement }) => settlement !== 'settle');
    await Promise.all([this.#delete(settled, hiddenUntilMs), this.#defer(retried)]);
  }

  #mayWait({ deliveryCount }: Delivery): boolean {
    const deliveries = deliveryCount ?? 1;
    if (deliveries > OVER_QUOTA.deliveries) return false;
    return this.#overQuota.take(pauseSeconds('later', deliveries) * 1000);
  }

  async #messages() {
    // The first poll, and the first after a failure, returns at once, to show whether the queue answers.
    const waitSeconds = this.#standing.connected ? WAIT_SECONDS : 0;
    const { Messages = [] } = await this.#queue.ask(
      (sdk, client, abortSignal) => {
        const receive = new sdk.ReceiveMessageCommand({
          QueueUrl: this.#options.queue_url,
          MaxNumberOfMessages: BATCH_SIZE,
          WaitTimeSeconds: waitSeconds,
          VisibilityTimeout: Math.ceil(this.#options.visibility_timeout / 1000),
          MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp'],
        });
        return client.send(receive, { abortSignal });
      },
      // A stop ends the poll at once; messages that SQS had just delivered become visible again after their
      // timeout.
      { waitMs: waitSeconds * 1000, stopping: this.#stopping.signal },
    );
    return Messages;
  }

  /**
   * Deletes after the commit (I5), also during a stop. A failed delete means a redelivery, which the ledger
   * drops as a duplicate, and which counts towards the queue's redrive policy. So a throttled delete is tried
   * again, with nothing received meanwhile, as long as the messages are hidden from other readers.
   */
  async #delete(handled: Handled[], hiddenUntilMs: number): Promise<void> {
    const { clock, entropy, log } = this.#deps;
    const { signal } = this.#stopping;
    const backoff = new Backoff(BACKOFF, entropy);
    while (handled.length > 0) {
      try {
        await this.#deleteOnce(handled);
        return;
      } catch (error) {
        const delayMs = Math.max(backoff.failed(), askedPauseMs(error));
        const isOver = signal.aborted || clock.monoMs() + delayMs >= hiddenUntilMs;
        if (isOver || !isThrottling(error)) throw error;
        this.#standing.throttled();
        this.#standing.noted(textOf(error));
        const fields = { error: textOf(error), failures: backoff.failures, delayMs };
        log.warn({ event: 'source.sqs.failed', source: this.name, ...fields });
        await clock.sleep(delayMs, signal);
      }
    }
  }

  async #deleteOnce(handled: Handled[]): Promise<void> {
    const Entries = handled.map(({ Id, ReceiptHandle }) => ({ Id, ReceiptHandle }));
    const answer = await this.#queue.ask((sdk, client, abortSignal) => {
      const deletion = new sdk.DeleteMessageBatchCommand({ QueueUrl: this.#options.queue_url, Entries });
      return client.send(deletion, { abortSignal });
    });
    this.#standing.settled(answer.Successful?.length ?? 0);
    const failed = answer.Failed ?? [];
    if (failed.length === 0) return;
    const { Code: code } = failed[0] ?? {};
    const fields = { source: this.name, failed: failed.length, code };
    this.#deps.log.warn({ event: 'source.sqs.not_deleted', ...fields });
  }

  /**
   * Sets when messages that could not be committed are delivered again. While the ledger commits nothing,
   * the pause is short: nothing is received before it commits again. While it commits others, each delivery
   * counts towards the queue's redrive policy, and the pause is long.
   */
  async #defer(handled: Handled[]): Promise<void> {
    if (handled.length === 0) return;
    const Entries = handled.map(({ Id, ReceiptHandle, settlement, deliveryCount }) => ({
      Id,
      ReceiptHandle,
      VisibilityTimeout: pauseSeconds(settlement, deliveryCount ?? 1),
    }));
    await this.#queue.ask((sdk, client, abortSignal) => {
      const change = { QueueUrl: this.#options.queue_url, Entries };
      return client.send(new sdk.ChangeMessageVisibilityBatchCommand(change), { abortSignal });
    });
  }
}

interface Handled {
  Id: string;
  ReceiptHandle: string | undefined;
  settlement: Settlement;
  deliveryCount: number | null;
}

function pauseSeconds(settlement: Settlement, deliveries: number): number {
  const doubled = 2 ** (deliveries - 1);
  return settlement === 'later'
    ? Math.min(LATER_SECONDS.last, LATER_SECONDS.first * doubled)
    : Math.min(RETRY_SECONDS_MAX, doubled);
}

function textOf(error: unknown): string {
  if (error instanceof PhaseError || error instanceof Discarded) return error.message;
  return isThrottling(error) ? `throttled: ${sdkFailure(error).text}` : sdkFailure(error).text;
}

function isThrottling(error: unknown): boolean {
  return isThrottled(sdkFailure(error));
}

function askedPauseMs(error: unknown): number {
  return isThrottling(error) ? Math.min(sdkFailure(error).retryAfterMs ?? 0, ASKED_PAUSE_MS_MAX) : 0;
}
