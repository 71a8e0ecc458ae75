/**
 * Reads a Pub/Sub subscription. A message is acknowledged only after the handler settled it (I5); the SDK
 * extends its lease until then. Plain at-least-once is enough: the vendor's exactly-once delivery knows only
 * redeliveries of one publish, not an agent that published twice, and the ledger knows both.
 *
 * Neither gRPC nor the SDK ends a connection whose TLS handshake is mute. So the source asks the service a
 * question now and then; when nothing is answered, the connection is cut and a new reader made.
 */
import type { Message } from '@google-cloud/pubsub';
import { Backoff } from '../../../shared/backoff.ts';
import type { Timer } from '../../../shared/clock.ts';
import { sendReasonOf } from '../../../shared/envelope/send-reason.ts';
import { errorText } from '../../../shared/log.ts';
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
import type { PubSubOptions } from './options.ts';
import type { PubSubReader } from './reader.ts';

/** Between the end of one reader and the next. */
const BACKOFF = { firstMs: 250, lastMs: 10_000 };
/** A reader that lasts has proven itself, as one that received a message has. */
const LASTING_MS = 10_000;
/** Between an answer and the next question, and from a question to its answer. */
const WATCH_MS = 4000;
const ANSWER_MS = 5000;
/** An answer may take longer while bytes come, but not for ever. */
const LATE_ANSWERS_MAX = 5;
/** How long a message that could not be committed rests before it is given back. */
const RETRY_MS = 1000;
/** For the messages in hand at the end; the SDK keeps the last second of it for giving back. */
const SETTLE_MS = 5000;
const STOP_MS = 5500;

/** Why a reader is over. */
interface End {
  error: string;
  isSilence: boolean;
}

const STOPPED: End = { error: 'stopped', isSilence: false };

export interface PubSubDeps extends SourceDeps {
  /** Between an answer and the next question. */
  watchMs?: number;
  /** From a question to its answer. */
  answerMs?: number;
}

export class PubSubSource implements Source {
  readonly name: string;
  readonly type = 'gcp';
  readonly #options: PubSubOptions;
  readonly #deps: PubSubDeps;
  /** Messages to be given back, each with the timer that will. */
  readonly #resting = new Map<Message, Timer>();
  readonly #standing = new Standing();
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  /** Ends the pause before the next question. */
  #askNow = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | null = null;

  constructor(name: string, options: PubSubOptions, deps: PubSubDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
    this.#backoff = new Backoff(BACKOFF, deps.entropy);
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

  /** One reader after the other. Never rejects. */
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
   * One reader, to its end: the SDK gave up on it (a permission taken away, a subscription deleted), nothing
   * was answered, or the source stops. Never rejects.
   */
  async #read(handler: DeliveryHandler): Promise<End> {
    const { clock } = this.#deps;
    let reader: PubSubReader | null = null;
    try {
      const { openGcpCredentials } = await import('../../../shared/gcp/credentials.ts');
      const { PubSubReader } = await import('./reader.ts');
      // Read each time, so that a renewed file is taken up.
      const trust = await openGcpCredentials(this.#options, clock);
      if (this.#stopping.signal.aborted) return STOPPED;
      const { promise: over, resolve: end } = Promise.withResolvers<End>();
      reader = new PubSubReader(this.#options, trust, SETTLE_MS, {
        message: (message) => void this.#handle(message, handler),
        interrupted: (error) => this.#interrupted(error),
        failed: (error) => end({ error: errorText(error), isSilence: false }),
      });
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
      // A stop waits for the messages in hand; the next reader does not.
      const closed = reader ? this.#close(reader) : null;
      if (this.#stopping.signal.aborted) await closed;
    }
  }

  /** Resolves when nothing was answered, or `signal` aborts. */
  async #watch(reader: PubSubReader, signal: AbortSignal): Promise<End> {
    const { clock, watchMs = WATCH_MS } = this.#deps;
    const startedMs = clock.monoMs();
    while (!signal.aborted) {
      this.#askNow = new AbortController();
      const problem = await this.#ask(reader, signal);
      if (signal.aborted) break;
      if (problem?.isSilence) return problem;
      if (problem) {
        this.#standing.lost(problem.error);
      } else {
        this.#standing.proven();
        if (clock.monoMs() - startedMs > LASTING_MS) this.#backoff.reset();
      }
      await clock.sleep(watchMs, AbortSignal.any([this.#askNow.signal, signal]));
    }
    return STOPPED;
  }

  /** Null when the service answered. */
  async #ask(reader: PubSubReader, signal: AbortSignal): Promise<End | null> {
    const { clock, answerMs = ANSWER_MS } = this.#deps;
    const silence: End = { error: '', isSilence: true };
    const answered = reader.ask(answerMs * LATE_ANSWERS_MAX).then(
      () => null,
      (error: unknown): End => ({ error: errorText(error), isSilence: false }),
    );
    for (let lates = 1; ; lates += 1) {
      const before = reader.bytesReceived;
      const answer = await within(clock, answerMs, answered, () => silence);
      if (answer !== silence || signal.aborted) return answer;
      if (reader.bytesReceived !== before && lates < LATE_ANSWERS_MAX) continue;
      return { error: `${reader.phase}: no answer in ${answerMs * lates} ms`, isSilence: true };
    }
  }

  /** Asks at once whether the connection stands: a stream also ends as a matter of course. */
  #interrupted(error: unknown): void {
    const text = errorText(error);
    this.#standing.noted(text);
    this.#deps.log.warn({ event: 'source.pubsub.interrupted', source: this.name, error: text });
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
    // Held under its lease, so that an outage of the ledger costs no delivery attempt; the SDK receives
    // nothing more once its hands are full.
    while (settlement === 'retry' && !gate.isOpen && !signal.aborted) {
      await gate.opened(signal);
      if (!signal.aborted) settlement = await handler(delivery);
    }
    if (settlement === 'settle') {
      message.ack();
      this.#standing.settled(1);
    } else {
      this.#giveBack(message);
    }
  }

  #deliveryOf(message: Message): Parameters<DeliveryHandler>[0] {
    return {
      source: this.name,
      bytes: message.data,
      // Pub/Sub does not tell who published; the attributes are the publisher's own words.
      authenticatedGateway: null,
      properties: () => {
        const { id: messageId, publishTime: published, attributes } = message;
        return providerProperties({ messageId, published, ...attributes });
      },
      enqueuedWallMs: message.publishTime.getTime(),
      // Set only where the subscription has a dead letter policy.
      deliveryCount: message.deliveryAttempt || null,
      sentAs: sendReasonOf(message.attributes['why']),
    };
  }

  /** Not at once: a message that could not be committed just now would only come round again and again. */
  #giveBack(message: Message): void {
    if (this.#stopping.signal.aborted) {
      message.nack();
      return;
    }
    const delayMs = RETRY_MS * (0.5 + this.#deps.entropy.float());
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
