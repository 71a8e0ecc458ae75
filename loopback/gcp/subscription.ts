/**
 * One subscription: its waiting messages, and the leases with their pullers and deadlines. A lease that is
 * neither acknowledged nor extended before its deadline expires: the message waits again and is delivered
 * with the next attempt number.
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import type { PubsubMessage, ReceivedMessage, SubscriptionResource } from './messages.ts';

/**
 * An open StreamingPull with its own flow control: it gets no more than its limit of outstanding messages (0:
 * no limit).
 */
export interface Puller {
  readonly maxMessages: number;
  readonly maxBytes: number;
  ackDeadlineMs: number;
  send(messages: ReceivedMessage[]): void;
}

export interface DeliveryCounter {
  delivered: number;
  settled: number;
}

interface Waiting {
  message: PubsubMessage;
  attempt: number;
}

interface Lease extends Waiting {
  holder: Puller | null;
  timer: Timer;
}

interface Outstanding {
  messages: number;
  bytes: number;
}

/** A response stays well below gRPC's default limit of 4 MiB, unless a single message is larger. */
const RESPONSE_BYTES = 1_000_000;

export class Subscription {
  readonly resource: SubscriptionResource;
  readonly #clock: Clock;
  readonly #counter: DeliveryCounter;
  readonly #wanted: (message: PubsubMessage) => boolean;
  readonly #waiting: Waiting[] = [];
  readonly #leases = new Map<string, Lease>();
  readonly #pullers = new Map<Puller, Outstanding>();
  #nextAckId = 1;

  constructor(options: {
    resource: SubscriptionResource;
    wanted: (message: PubsubMessage) => boolean;
    clock: Clock;
    counter: DeliveryCounter;
  }) {
    this.#wanted = options.wanted;
    this.resource = options.resource;
    this.#clock = options.clock;
    this.#counter = options.counter;
  }

  offer(messages: readonly PubsubMessage[]): void {
    for (const message of messages.filter(this.#wanted)) this.#waiting.push({ message, attempt: 1 });
    this.#deliver();
  }

  attach(puller: Puller): void {
    this.#pullers.set(puller, { messages: 0, bytes: 0 });
    this.#deliver();
  }

  /** The puller's messages stay leased until their deadlines, like those of a dead subscriber. */
  detach(puller: Puller): void {
    this.#pullers.delete(puller);
  }

  /** The unary Pull: returns the waiting messages at once. */
  pull(maxMessages: number): ReceivedMessage[] {
    return this.#waiting
      .splice(0, maxMessages)
      .map((waiting) => this.#lease(waiting, null, this.resource.ackDeadlineSeconds * 1000));
  }

  /** Like {@link pull}, but waits for a message; empty after `waitMs`, or when `signal` aborts. */
  async pullWhenThere(maxMessages: number, waitMs: number, signal: AbortSignal): Promise<ReceivedMessage[]> {
    const done = new AbortController();
    let received: ReceivedMessage[] = [];
    const puller: Puller = {
      maxMessages,
      maxBytes: 0,
      ackDeadlineMs: this.resource.ackDeadlineSeconds * 1000,
      send: (messages) => {
        received = messages;
        this.detach(puller);
        done.abort();
      },
    };
    this.attach(puller);
    await this.#clock.sleep(waitMs, AbortSignal.any([done.signal, signal]));
    this.detach(puller);
    return received;
  }

  get unsettled(): number {
    return this.#waiting.length + this.#leases.size;
  }

  /** False when the id is unknown, already acknowledged, or its lease has expired. */
  acknowledge(ackId: string): boolean {
    if (!this.#release(ackId)) return false;
    this.#counter.settled += 1;
    this.#deliver();
    return true;
  }

  /** Zero seconds means a nack: the message waits again at once. Returns false like {@link acknowledge}. */
  modifyDeadline(ackId: string, seconds: number): boolean {
    const lease = this.#leases.get(ackId);
    if (!lease) return false;
    if (seconds === 0) {
      this.#expire(ackId);
    } else {
      lease.timer.cancel();
      lease.timer = this.#clock.setTimer(seconds * 1000, () => this.#expire(ackId));
    }
    return true;
  }

  close(): void {
    for (const lease of this.#leases.values()) lease.timer.cancel();
    this.#pullers.clear();
  }

  #deliver(): void {
    for (const [puller, outstanding] of this.#pullers) {
      while (this.#waiting.length > 0 && this.#pullers.has(puller)) {
        const batch = this.#takeFor(puller, outstanding);
        if (batch.length === 0) break;
        puller.send(batch);
      }
    }
  }

  #takeFor(puller: Puller, outstanding: Outstanding): ReceivedMessage[] {
    const batch: ReceivedMessage[] = [];
    for (let bytes = 0; bytes < RESPONSE_BYTES; ) {
      if (puller.maxMessages > 0 && outstanding.messages >= puller.maxMessages) break;
      if (puller.maxBytes > 0 && outstanding.bytes >= puller.maxBytes) break;
      const waiting = this.#waiting.shift();
      if (!waiting) break;
      bytes += waiting.message.data.length;
      batch.push(this.#lease(waiting, puller, puller.ackDeadlineMs));
    }
    return batch;
  }

  #lease(waiting: Waiting, holder: Puller | null, deadlineMs: number): ReceivedMessage {
    const ackId = `ack-${this.#nextAckId++}`;
    const timer = this.#clock.setTimer(deadlineMs, () => this.#expire(ackId));
    this.#leases.set(ackId, { ...waiting, holder, timer });
    this.#count(holder, waiting, 1);
    this.#counter.delivered += 1;
    return { ackId, message: waiting.message, deliveryAttempt: waiting.attempt };
  }

  #release(ackId: string): Lease | null {
    const lease = this.#leases.get(ackId);
    if (!lease) return null;
    this.#leases.delete(ackId);
    lease.timer.cancel();
    this.#count(lease.holder, lease, -1);
    return lease;
  }

  #expire(ackId: string): void {
    const lease = this.#release(ackId);
    if (!lease) return;
    this.#waiting.push({ message: lease.message, attempt: lease.attempt + 1 });
    this.#deliver();
  }

  #count(holder: Puller | null, waiting: Waiting, sign: 1 | -1): void {
    const outstanding = holder && this.#pullers.get(holder);
    if (!outstanding) return;
    outstanding.messages += sign;
    outstanding.bytes += sign * waiting.message.data.length;
  }
}
