/** Validity of topic names and filters for all clients: MQTT 3.1.1 section 4.7, and the configured limits. */
import type { Client } from 'aedes';
import { topicMatches, topicNameProblem } from '../../../shared/policy/topic-filter.ts';
import type { RefusalReason } from '../refusals.ts';

/** Bound on cached valid topics: devices publish to few topics repeatedly (I10). */
const TOPICS_KNOWN_MAX = 10_000;

export interface TopicBounds {
  maxTopicBytes: number;
  maxTopicLevels: number;
  /** Per client. */
  maxSubscriptions: number;
}

/** A topic or filter of the broker's own: those that begin with `$`. */
export function isReserved(topic: string): boolean {
  return topic.startsWith('$');
}

export interface TopicLimitsOptions {
  limits: TopicBounds;
  /** Filters of topics that stay between devices. */
  localTopics: readonly string[];
}

export class TopicLimits {
  readonly #limits: TopicBounds;
  readonly #localTopics: readonly string[];
  /** Valid topics; the value tells whether the topic is local. */
  readonly #good = new Map<string, boolean>();

  constructor({ limits, localTopics }: TopicLimitsOptions) {
    this.#limits = limits;
    this.#localTopics = localTopics;
  }

  /** Whether publishes to the topic are not recorded. Only for valid topics. */
  isLocal(topic: string): boolean {
    return this.#localTopics.length > 0 && this.#good.get(topic) === true;
  }

  /** Null when the topic is valid; the device's rules are checked elsewhere. */
  refusal(topic: string): RefusalReason | null {
    if (this.#good.has(topic)) return null;
    if (this.#isTooLarge(topic)) return 'topic-limit';
    if (isReserved(topic)) return 'reserved-topic';
    if (topicNameProblem(topic) !== null) return 'invalid-topic';
    if (this.#good.size >= TOPICS_KNOWN_MAX) this.#good.clear();
    this.#good.set(
      topic,
      this.#localTopics.some((filter) => topicMatches(filter, topic)),
    );
    return null;
  }

  /** Null when the filter is valid and the client has room for one more subscription. */
  subscriptionRefusal(client: Client, filter: string): RefusalReason | null {
    if (isReserved(filter)) return 'reserved-topic';
    if (this.#isTooLarge(filter)) return 'topic-limit';
    const held: unknown = Reflect.get(client, 'subscriptions');
    const isNew = typeof held === 'object' && held !== null && !Object.hasOwn(held, filter);
    return isNew && Object.keys(held).length >= this.#limits.maxSubscriptions ? 'subscription-limit' : null;
  }

  /** For a topic name or a filter. */
  #isTooLarge(topic: string): boolean {
    const { maxTopicBytes, maxTopicLevels } = this.#limits;
    // A UTF-16 unit takes at most three bytes in UTF-8.
    if (topic.length * 3 > maxTopicBytes && Buffer.byteLength(topic) > maxTopicBytes) return true;
    return topic.length >= maxTopicLevels && topic.split('/').length > maxTopicLevels;
  }
}
