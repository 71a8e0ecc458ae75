/** What the topic of a publish must be, whoever sends it: MQTT 3.1.1 section 4.7, and the configured limits. */
import { topicNameProblem } from '../../shared/topic-filter.ts';
import type { RefusalReason } from './refusals.ts';

/** Good topics that are remembered: devices publish to few, again and again (I10). */
const TOPICS_KNOWN_MAX = 10_000;

export interface TopicLimits {
  maxTopicBytes: number;
  maxTopicLevels: number;
}

export class TopicRules {
  readonly #limits: TopicLimits;
  readonly #good = new Set<string>();

  constructor(limits: TopicLimits) {
    this.#limits = limits;
  }

  /** Null when a device may publish to it, as far as the topic alone goes. */
  refusal(topic: string): RefusalReason | null {
    if (this.#good.has(topic)) return null;
    if (this.isTooLarge(topic)) return 'topic-limit';
    if (topic.startsWith('$')) return 'reserved-topic';
    if (topicNameProblem(topic) !== null) return 'invalid-topic';
    if (this.#good.size >= TOPICS_KNOWN_MAX) this.#good.clear();
    this.#good.add(topic);
    return null;
  }

  /** Of a topic or a filter. */
  isTooLarge(topic: string): boolean {
    const { maxTopicBytes, maxTopicLevels } = this.#limits;
    // A UTF-16 unit takes at most three bytes.
    if (topic.length * 3 > maxTopicBytes && Buffer.byteLength(topic) > maxTopicBytes) return true;
    return topic.length >= maxTopicLevels && topic.split('/').length > maxTopicLevels;
  }
}
