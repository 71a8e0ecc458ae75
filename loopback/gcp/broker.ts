/** Topics and their subscriptions, with the delivery faults between them. */
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { OnStored } from '../cloud.ts';
import type { Fault } from '../faults.ts';
import { messageFilter } from './filter.ts';
import type { PubsubMessage, SubscriptionResource } from './messages.ts';
import { type DeliveryCounter, Subscription } from './subscription.ts';

/** How long `reorder` holds messages before it delivers them shuffled. */
const REORDER_HOLD_MS = 500;

export class Broker {
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #counter: DeliveryCounter;
  readonly #onStored: OnStored | null;
  readonly #topics = new Map<string, Subscription[]>();
  readonly #subscriptions = new Map<string, Subscription>();
  #held: { topic: string; message: PubsubMessage }[] = [];
  /** Held by `late`, in the order of arrival. */
  #late: { topic: string; messages: readonly PubsubMessage[] }[] = [];
  #holdTimer: Timer | null = null;
  #nextMessageId = 1_000_000_000_000_000;

  constructor(options: {
    clock: Clock;
    entropy: Entropy;
    counter: DeliveryCounter;
    onStored?: OnStored | undefined;
  }) {
    this.#onStored = options.onStored ?? null;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
    this.#counter = options.counter;
  }

  /** Returns false when the topic exists. */
  createTopic(name: string): boolean {
    if (this.#topics.has(name)) return false;
    this.#topics.set(name, []);
    return true;
  }

  hasTopic(name: string): boolean {
    return this.#topics.has(name);
  }

  createSubscription(resource: SubscriptionResource): 'created' | 'exists' | 'no-topic' | 'bad-filter' {
    const subscribers = this.#topics.get(resource.topic);
    if (!subscribers) return 'no-topic';
    if (this.#subscriptions.has(resource.name)) return 'exists';
    const wanted = messageFilter(resource.filter);
    if (!wanted) return 'bad-filter';
    const subscription = new Subscription({ resource, wanted, clock: this.#clock, counter: this.#counter });
    subscribers.push(subscription);
    this.#subscriptions.set(resource.name, subscription);
    return 'created';
  }

  subscription(name: string): Subscription | null {
    return this.#subscriptions.get(name) ?? null;
  }

  /** Messages without an acknowledgement, delivered or not. */
  get unsettled(): number {
    return [...this.#subscriptions.values()].reduce((sum, { unsettled }) => sum + unsettled, 0);
  }

  /** Assigns each message its id and time, then delivers it under the active fault. */
  publish(topic: string, messages: readonly PubsubMessage[], fault: Fault | null): string[] {
    const wallMs = this.#clock.wallMs() - (fault?.name === 'late' ? fault.latencyMs : 0);
    const publishTime = { seconds: Math.floor(wallMs / 1000), nanos: Math.floor((wallMs % 1000) * 1e6) };
    const stored = messages.map((message) => ({
      ...message,
      messageId: String(this.#nextMessageId++),
      publishTime,
    }));
    for (const { data, ...rest } of stored)
      this.#onStored?.(JSON.stringify({ topic, ...rest, data: Buffer.from(data).toString('base64') }));
    if (fault?.name === 'reorder') this.#hold(topic, stored);
    else if (fault?.name === 'late') this.#late.push({ topic, messages: stored });
    else if (fault?.name === 'duplicate') this.#offer(topic, [...stored, ...stored]);
    else if (fault?.name !== 'drop-after-ack') this.#offer(topic, stored);
    return stored.map((message) => message.messageId);
  }

  /** Delivers the messages held by `late`. */
  releaseLate(): void {
    const late = this.#late;
    this.#late = [];
    for (const { topic, messages } of late) this.#offer(topic, messages);
  }

  /** Delivers the messages held by `reorder`, shuffled. */
  releaseHeld(): void {
    this.#holdTimer?.cancel();
    this.#holdTimer = null;
    const held = this.#held;
    this.#held = [];
    for (let last = held.length - 1; last > 0; last--) {
      const other = Math.floor(this.#entropy.float() * (last + 1));
      const [a, b] = [held[last], held[other]];
      if (a && b) [held[last], held[other]] = [b, a];
    }
    for (const { topic, message } of held) this.#offer(topic, [message]);
  }

  close(): void {
    this.#holdTimer?.cancel();
    for (const subscription of this.#subscriptions.values()) subscription.close();
  }

  #hold(topic: string, messages: readonly PubsubMessage[]): void {
    for (const message of messages) this.#held.push({ topic, message });
    this.#holdTimer ??= this.#clock.setTimer(REORDER_HOLD_MS, () => this.releaseHeld());
  }

  #offer(topic: string, messages: readonly PubsubMessage[]): void {
    for (const subscription of this.#topics.get(topic) ?? []) subscription.offer(messages);
  }
}
