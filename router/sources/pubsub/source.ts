/**
 * Reads a Pub/Sub subscription. A message is acknowledged only after the handler settled it (I5); the SDK
 * extends its lease until then. At-least-once delivery is enough: the vendor's exactly-once delivery knows
 * only redeliveries of one publish, not a second publish by the agent, and the ledger drops both.
 *
 * Neither gRPC nor the SDK ends a connection whose TLS handshake gets no answer. So the source sends a
 * request periodically; when no answer comes, it cuts the connection and makes a new reader.
 */
import type { Message } from '@google-cloud/pubsub';
import { Backoff } from '../../../shared/backoff.ts';
import type { Timer } from '../../../shared/clock.ts';
import { sendReasonOf } from '../../../shared/envelope/send-reason.ts';
import { errorText } from '../../../shared/log.ts';
import { SparseLog } from '../../../shared/sparse-log.ts';
import { within } from '../../../shared/within.ts';
import { providerProperties } from '../properties.ts';
import {
  type DeliveryHandler,
  OPEN_GATE,
  type Source,
  type SourceDeps,
  type SourceState,
} from '../source.ts';
import { Standing } from '../standing.ts';
import { MAX_MESSAGES, type PubSubOptions } from './options.ts';
import type { PubSubReader } from './reader.ts';

/** Pause between two readers. */
const BACKOFF = { firstMs: 250, lastMs: 10_000 };
/** A reader that lasts this long, or receives a message, resets the backoff. */
const LASTING_MS = 10_000;
/** `WATCH_MS`: from an answer to the next request. `ANSWER_MS`: from a request to its answer. */
const WATCH_MS = 4000;
const ANSWER_MS = 5000;
/** google.rpc.Code ("Pub/Sub error codes"): a quota is used up. */
const RESOURCE_EXHAUSTED = 8;
/**
 * Shortest time between two requests: each failed batch of acknowledgements asks for one at once, and a
 * throttled service can fail a hundred batches in a second.
 */
const ASK_APART_MS = 1000;
/** How often an answer may exceed its limit while bytes still arrive. */
const LATE_ANSWERS_MAX = 5;
/** Pause before an uncommitted message is returned to the subscription. */
const RETRY_MS = 1000;
/** The same for a message that waits while others are committed, where the subscription counts deliveries. */
const LATER_MS = { first: 30_000, last: 600_000 };
/**
 * Most messages that may rest when one over a quota joins them, and the delivery at which it becomes a dead
 * letter, where the subscription counts.
 */
const OVER_QUOTA = { resting: MAX_MESSAGES / 4, deliveries: 4 };
/**
 * Limit at a stop for the messages in hand; the SDK keeps the last second of it for the return of messages.
 */
const SETTLE_MS = 5000;
const STOP_MS = 5500;

/** Why a reader ended. */
interface End {
  error: string;
  isSilence: boolean;
}

/** Why a request got no good answer. */
interface Problem extends End {
  isThrottled: boolean;
}

const STOPPED: End = { error: 'stopped', isSilence: false };

export interface PubSubDeps extends SourceDeps {
  /** From an answer to the next request. */
  watchMs?: number;
  /** From a request to its answer. */
  answerMs?: number;
}

export class PubSubSource implements Source {
  readonly name: string;
  readonly type = 'gcp';
  readonly #options: PubSubOptions;
  readonly #deps: PubSubDeps;
  /** Messages that wait to be returned, each with its timer. */
  readonly #resting = new Map<Message, Timer>();
  readonly #standing = new Standing();
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  readonly #log: SparseLog;
  /** Ends the pause before the next request. */
  #askNow = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | null = null;

  constructor(name: string, options: PubSubOptions, deps: PubSubDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
    this.#backoff = new Backoff(BACKOFF, deps.entropy);
    this.#log = new SparseLog(deps);
  }

  state(): SourceState {
    return this.#standing.state();
  }

  start(handler: DeliveryHandler): Promise<void> {
    this.#running = this.#run(handler);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    for (const [message, timer] of this.#resting) {
      timer.cancel();
      message.nack();
    }
    this.#resting.clear();
    await within(this.#deps.clock, STOP_MS, this.#running, () => undefined);
    this.#standing.stopped();
  }

  /** Runs one reader after the other. Never rejects. */
  async #run(handler: DeliveryHandler): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const { error, isSilence } = await this.#read(handler);
      if (signal.aborted) return;
      const delayMs = this.#backoff.failed();
      if (isSilence) this.#standing.cut(error);
      else this.#standing.lost(error);
      const fields = { source: this.name, error, failures: this.#backoff.failures, delayMs };
      log.warn({ event: 'source.pubsub.failed', ...fields });
      await clock.sleep(delayMs, signal);
    }
  }

  /**
   * Runs one reader until the SDK gives it up (a permission withdrawn, a subscription deleted), no answer
   * comes, or the source stops. Never rejects.
   */
  async #read(handler: DeliveryHandler): Promise<End> {
    const { clock } = this.#deps;
    let reader: PubSubReader | null = null;
    try {
      const { openGcpCredentials } = await import('../../../shared/gcp/credentials.ts');
      const { PubSubReader } = await import('./reader.ts');
      // Read for each reader, so that a renewed file takes effect.
      const trust = await openGcpCredentials(this.#options, clock);
      if (this.#stopping.signal.aborted) return STOPPED;
      const { promise: over, resolve: end } = Promise.withResolvers<End>();
      reader = new PubSubReader(
        this.#options,
        { trust, settleMs: SETTLE_MS, clock },
        {
          message: (message) => void this.#handle(message, handler),
          interrupted: (error) => this.#interrupted(error),
          failed: (error) => end({ error: wordsOf(error).error, isSilence: false }),
        },
      );
      const done = new AbortController();
      const signal = AbortSignal.any([done.signal, this.#stopping.signal]);
      signal.addEventListener('abort', () => end(STOPPED), { once: true });
      void this.#watch(reader, signal).then(end);
      const ended = await over;
      done.abort();
      if (ended.isSilence) reader.cut();
      return ended;
    } catch (error) {
      return { error: errorText(error), isSilence: false };
    } finally {
      // A stop waits for the messages in hand; a new reader does not.
      const closed = reader ? this.#close(reader) : null;
      if (this.#stopping.signal.aborted) await closed;
    }
  }

  /** Resolves when no answer came, or when `signal` aborts. */
  async #watch(reader: PubSubReader, signal: AbortSignal): Promise<End> {
    const { clock, watchMs = WATCH_MS } = this.#deps;
    const startedMs = clock.monoMs();
    while (!signal.aborted) {
      this.#askNow = new AbortController();
      const problem = await this.#ask(reader, signal);
      if (signal.aborted) break;
      if (problem?.isSilence) return problem;
      if (problem) {
        if (problem.isThrottled) this.#standing.throttled();
        this.#standing.lost(problem.error);
      } else {
        this.#standing.proven();
        if (clock.monoMs() - startedMs > LASTING_MS) this.#backoff.reset();
      }
      const apartMs = Math.min(watchMs, ASK_APART_MS);
      await clock.sleep(apartMs, signal);
      await clock.sleep(watchMs - apartMs, AbortSignal.any([this.#askNow.signal, signal]));
    }
    return STOPPED;
  }

  /** Null when the service answered. */
  async #ask(reader: PubSubReader, signal: AbortSignal): Promise<Problem | null> {
    const { clock, answerMs = ANSWER_MS } = this.#deps;
    const silence: Problem = { error: '', isSilence: true, isThrottled: false };
    const answered = reader.ask(answerMs * LATE_ANSWERS_MAX).then(
      () => null,
      (error: unknown): Problem => ({ ...wordsOf(error), isSilence: false }),
    );
    for (let lates = 1; ; lates += 1) {
      const before = reader.bytesReceived;
      const answer = await within(clock, answerMs, answered, () => silence);
      if (answer !== silence || signal.aborted) return answer;
      if (reader.bytesReceived !== before && lates < LATE_ANSWERS_MAX) continue;
      return { ...silence, error: `${reader.phase}: no answer in ${answerMs * lates} ms` };
    }
  }

  /** Checks the connection at once: a stream also ends in normal operation. */
  #interrupted(error: unknown): void {
    const { error: text, isThrottled } = wordsOf(error);
    if (isThrottled) this.#standing.throttled();
    this.#standing.noted(text);
    this.#log.warn('source.pubsub.interrupted', { source: this.name, error: text });
    this.#askNow.abort();
  }

  async #handle(message: Message, handler: DeliveryHandler): Promise<void> {
    const { clock, gate = OPEN_GATE } = this.#deps;
    const { signal } = this.#stopping;
    this.#backoff.reset();
    this.#standing.proven();
    this.#standing.received(1, clock.wallMs());
    const delivery = this.#deliveryOf(message);
    let settlement = await handler(delivery);
    // The message is held under its lease, so that an outage of the ledger costs no delivery attempt; the SDK
    // receives nothing more once its window is full.
    while (settlement !== 'settle' && !gate.isOpen && !signal.aborted) {
      await gate.opened(signal);
      if (!signal.aborted) settlement = await handler(delivery);
    }
    if (settlement === 'settle') {
      message.ack();
      this.#standing.settled(1);
    } else {
      this.#giveBack(message, settlement === 'later' ? (delivery.deliveryCount ?? 0) : 0);
    }
  }

  #deliveryOf(message: Message): Parameters<DeliveryHandler>[0] {
    return {
      source: this.name,
      bytes: message.data,
      // Pub/Sub does not report the publisher; the attributes are the publisher's own claims.
      authenticatedGateway: null,
      properties: () => {
        const { id: messageId, publishTime: published, attributes } = message;
        return providerProperties({ messageId, published, ...attributes });
      },
      enqueuedWallMs: message.publishTime.getTime(),
      // Set only where the subscription has a dead letter policy.
      deliveryCount: message.deliveryAttempt || null,
      sentAs: sendReasonOf(message.attributes['why']),
      mayWait: () =>
        this.#resting.size < OVER_QUOTA.resting && message.deliveryAttempt <= OVER_QUOTA.deliveries,
    };
  }

  /**
   * Returns a message after a pause: an immediate return would only redeliver it at once. `deliveries`, 0
   * where they do not matter, count towards the subscription's dead letter policy: the pause doubles with
   * each. Resting messages take places of the SDK's window, so at most half of them rest for so long.
   */
  #giveBack(message: Message, deliveries: number): void {
    if (this.#stopping.signal.aborted) {
      message.nack();
      return;
    }
    const isLong = deliveries > 0 && this.#resting.size < MAX_MESSAGES / 2;
    const pauseMs = isLong ? Math.min(LATER_MS.last, LATER_MS.first * 2 ** (deliveries - 1)) : RETRY_MS;
    const delayMs = pauseMs * (0.5 + this.#deps.entropy.float());
    const timer = this.#deps.clock.setTimer(delayMs, () => {
      this.#resting.delete(message);
      message.nack();
    });
    this.#resting.set(message, timer);
  }

  async #close(reader: PubSubReader): Promise<void> {
    const { clock, log } = this.#deps;
    try {
      await within(clock, STOP_MS, reader.close(), () => undefined);
    } catch (error) {
      log.debug({ event: 'source.pubsub.close', source: this.name, error: errorText(error) });
    }
    reader.cut();
  }
}

function wordsOf(error: unknown): { error: string; isThrottled: boolean } {
  const isThrottled = Reflect.get(Object(error), 'code') === RESOURCE_EXHAUSTED;
  return { error: `${isThrottled ? 'throttled: ' : ''}${errorText(error)}`, isThrottled };
}
