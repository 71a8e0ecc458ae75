/**
 * One standard SQS queue in memory: visibility timeout, receipt handles, receive counts, long poll; without a
 * guaranteed order.
 */
import { createHash } from 'node:crypto';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';

interface QueuedMessage {
  id: string;
  body: string;
  md5: string;
  sentMs: number;
  firstReceivedMs: number | null;
  receiveCount: number;
  /** The newest receipt handle; earlier ones have no effect. */
  handle: string | null;
  /** Runs while the message is in flight; then the message becomes visible again. */
  invisible: Timer | null;
}

export interface ReceivedMessage {
  id: string;
  body: string;
  /** MD5 of the body, in hex: the SDK verifies it. */
  md5: string;
  handle: string;
  sentMs: number;
  firstReceivedMs: number;
  /** Receives so far, counting this one. */
  receiveCount: number;
}

export interface ReceiveOptions {
  /** At most ten. */
  max: number;
  /** How long to wait for a first message. */
  waitMs: number;
  visibilityMs: number;
}

export class SqsQueue {
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #visible = new Set<QueuedMessage>();
  readonly #byHandle = new Map<string, QueuedMessage>();
  readonly #waiting = new Set<() => void>();
  #inFlight = 0;
  #delivered = 0;
  #settled = 0;

  constructor(clock: Clock, entropy: Entropy) {
    this.#clock = clock;
    this.#entropy = entropy;
  }

  /** Deliveries of messages, repeated ones included. */
  get delivered(): number {
    return this.#delivered;
  }

  /** Messages deleted. */
  get settled(): number {
    return this.#settled;
  }

  get visible(): number {
    return this.#visible.size;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  send(body: string): { id: string; md5: string } {
    const md5 = createHash('md5').update(body).digest('hex');
    const id = this.#id();
    const message = {
      id,
      body,
      md5,
      sentMs: this.#clock.wallMs(),
      firstReceivedMs: null,
      receiveCount: 0,
      handle: null,
      invisible: null,
    };
    this.#show(message);
    return { id, md5 };
  }

  /**
   * Up to `max` messages; waits up to `waitMs` for the first one. Empty when `gone` aborts, so that no
   * message goes to a dead client.
   */
  async receive(options: ReceiveOptions, gone: AbortSignal): Promise<ReceivedMessage[]> {
    const untilMs = this.#clock.monoMs() + options.waitMs;
    while (this.#visible.size === 0 && !gone.aborted) {
      const leftMs = untilMs - this.#clock.monoMs();
      if (leftMs <= 0) return [];
      await this.#arrival(leftMs, gone);
    }
    if (gone.aborted) return [];
    const messages: ReceivedMessage[] = [];
    for (const message of this.#visible) {
      if (messages.length === options.max) break;
      messages.push(this.#hand(message, options.visibilityMs));
    }
    return messages;
  }

  /** Deletes by receipt handle. An unknown or outdated handle is not an error, as at SQS. */
  delete(handle: string): void {
    const message = this.#byHandle.get(handle);
    if (!message) return;
    this.#byHandle.delete(handle);
    this.#land(message);
    this.#visible.delete(message);
    this.#settled += 1;
  }

  /** Returns false when the handle's message is not in flight. 0 makes it visible at once. */
  changeVisibility(handle: string, visibilityMs: number): boolean {
    const message = this.#byHandle.get(handle);
    if (!message?.invisible) return false;
    this.#land(message);
    if (visibilityMs === 0) this.#show(message);
    else this.#hide(message, visibilityMs);
    return true;
  }

  /** Stops the timers; messages in flight stay in flight. A waiting receive ends with its client. */
  close(): void {
    for (const message of this.#byHandle.values()) this.#land(message);
  }

  #hand(message: QueuedMessage, visibilityMs: number): ReceivedMessage {
    const now = this.#clock.wallMs();
    const handle = this.#id();
    if (message.handle !== null) this.#byHandle.delete(message.handle);
    this.#byHandle.set(handle, message);
    message.handle = handle;
    message.receiveCount += 1;
    message.firstReceivedMs ??= now;
    this.#visible.delete(message);
    this.#hide(message, visibilityMs);
    this.#delivered += 1;
    const { id, body, md5, sentMs, firstReceivedMs, receiveCount } = message;
    return { id, body, md5, sentMs, firstReceivedMs, receiveCount, handle };
  }

  #show(message: QueuedMessage): void {
    this.#visible.add(message);
    const [wake] = this.#waiting;
    wake?.();
  }

  #hide(message: QueuedMessage, visibilityMs: number): void {
    this.#inFlight += 1;
    message.invisible = this.#clock.setTimer(visibilityMs, () => {
      this.#land(message);
      this.#show(message);
    });
  }

  /** Ends the flight of a message, before it is deleted or visible again. */
  #land(message: QueuedMessage): void {
    if (!message.invisible) return;
    message.invisible.cancel();
    message.invisible = null;
    this.#inFlight -= 1;
  }

  #arrival(waitMs: number, gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        this.#waiting.delete(wake);
        gone.removeEventListener('abort', wake);
        resolve();
      };
      const timer = this.#clock.setTimer(waitMs, wake);
      this.#waiting.add(wake);
      gone.addEventListener('abort', wake);
    });
  }

  #id(): string {
    return Buffer.from(this.#entropy.bytes(16)).toString('hex');
  }
}
