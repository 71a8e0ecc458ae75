/**
 * Reads a Pub/Sub subscription. A message is acknowledged only after the handler settled it (I5); the SDK
 * extends its lease until then. Plain at-least-once is enough: the vendor's exactly-once delivery knows only
 * redeliveries of one publish, not an agent that published twice, and the ledger knows both.
 */
import type { Message } from '@google-cloud/pubsub';
import type { Timer } from '../../../shared/clock.ts';
import { sendReasonOf } from '../../../shared/envelope/send-reason.ts';
import { errorText } from '../../../shared/log.ts';
import { providerProperties } from '../properties.ts';
import {
  type DeliveryHandler,
  initialSourceState,
  type Source,
  type SourceDeps,
  type SourceState,
} from '../source.ts';
import type { PubSubOptions } from './options.ts';
import type { PubSubReader } from './reader.ts';

/** Between the end of one reader and the next: doubled each time, until a message arrives. */
const REOPEN_FIRST_MS = 250;
const REOPEN_LAST_MS = 30_000;
/** How long a message that could not be committed rests before it is given back. */
const RETRY_MS = 1000;
/** For what is in hand at the end; the SDK keeps the last second of it for giving back. */
const SETTLE_MS = 5000;
const STOP_MS = 5500;

export class PubSubSource implements Source {
  readonly name: string;
  readonly type = 'gcp';
  readonly #options: PubSubOptions;
  readonly #deps: SourceDeps;
  /** Messages to be given back, each with the timer that will. */
  readonly #resting = new Map<Message, Timer>();
  readonly #state = initialSourceState();
  #reader: PubSubReader | null = null;
  #reopen: Timer | null = null;
  #failures = 0;
  #stopped: boolean = false;
  #stopping: Promise<void> | null = null;

  constructor(name: string, options: PubSubOptions, deps: SourceDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
  }

  state(): SourceState {
    return { ...this.#state, connected: this.#reader?.connected ?? false };
  }

  async start(handler: DeliveryHandler): Promise<void> {
    const { openGcpCredentials } = await import('../../../shared/gcp/credentials.ts');
    const { PubSubReader } = await import('./reader.ts');
    const trust = await openGcpCredentials(this.#options, this.#deps.clock);
    const open = (): void => {
      this.#reader = new PubSubReader(this.#options, trust, SETTLE_MS, {
        message: (message) => void this.#handle(message, handler),
        interrupted: (error) => this.#note('source.pubsub.interrupted', error, {}),
        failed: (error) => this.#failed(error, open),
      });
    };
    if (!this.#stopped) open();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#stopped = true;
    this.#reopen?.cancel();
    for (const [message, timer] of this.#resting) {
      timer.cancel();
      message.nack();
    }
    this.#resting.clear();
    const reader = this.#reader;
    this.#reader = null;
    if (reader) await this.#close(reader);
  }

  async #handle(message: Message, handler: DeliveryHandler): Promise<void> {
    this.#failures = 0;
    this.#state.received += 1;
    this.#state.lastReceivedMs = this.#deps.clock.wallMs();
    const settlement = await handler({
      source: this.name,
      bytes: message.data,
      // Pub/Sub tells nobody who published; the attributes are what the publisher says of itself.
      authenticatedGateway: null,
      properties: () => {
        const { id: messageId, publishTime: published, attributes } = message;
        return providerProperties({ messageId, published, ...attributes });
      },
      enqueuedWallMs: message.publishTime.getTime(),
      // Set only where the subscription has a dead letter policy.
      deliveryCount: message.deliveryAttempt || null,
      sentAs: sendReasonOf(message.attributes['why']),
    });
    if (settlement === 'settle') {
      message.ack();
      this.#state.settled += 1;
    } else {
      this.#giveBack(message);
    }
  }

  /** Not at once: what could not be committed just now would only come round again and again. */
  #giveBack(message: Message): void {
    if (this.#stopped) {
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

  /**
   * The SDK has given up on this reader (a permission taken away, a subscription deleted): only a new one
   * goes on.
   */
  #failed(error: unknown, open: () => void): void {
    const reader = this.#reader;
    this.#reader = null;
    if (this.#stopped) return;
    this.#failures += 1;
    const ceilingMs = Math.min(REOPEN_LAST_MS, REOPEN_FIRST_MS * 2 ** (this.#failures - 1));
    const delayMs = ceilingMs * (0.5 + this.#deps.entropy.float() / 2);
    this.#note('source.pubsub.failed', error, { failures: this.#failures, delayMs });
    this.#reopen = this.#deps.clock.setTimer(delayMs, open);
    if (reader) void this.#close(reader);
  }

  #note(event: string, error: unknown, fields: Record<string, unknown>): void {
    this.#state.lastError = errorText(error);
    this.#deps.log.warn({ event, source: this.name, error: this.#state.lastError, ...fields });
  }

  async #close(reader: PubSubReader): Promise<void> {
    const done = new AbortController();
    try {
      await Promise.race([reader.close(), this.#deps.clock.sleep(STOP_MS, done.signal)]);
    } catch (error) {
      this.#deps.log.debug({ event: 'source.pubsub.close', source: this.name, error: errorText(error) });
    }
    done.abort();
    reader.cut();
  }
}
