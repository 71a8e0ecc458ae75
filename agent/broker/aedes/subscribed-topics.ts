/**
 * Who on the gateway listens. Most telemetry has no local reader, and aedes would look for one in its
 * matcher, its persistence and its emitter, for more than a fourth of the time that a publish takes. So the
 * filters of all subscriptions, of clients that are here and of sessions that are kept, are counted here; a
 * publish that matches none of them ends when it is durable.
 */
import { createRequire } from 'node:module';

/** The matcher that aedes itself uses. Its package has no types. */
interface Matcher {
  add(filter: string): unknown;
  remove(filter: string): unknown;
  test(topic: string): boolean;
}

const { QlobberTrue }: { QlobberTrue: new (options: object) => Matcher } = createRequire(import.meta.url)(
  'qlobber',
);

/** Topics whose answer is remembered (I10). */
const TOPICS_KNOWN_MAX = 10_000;

export class SubscribedTopics {
  /** How many subscriptions have the filter. */
  readonly #filters = new Map<string, number>();
  readonly #matcher = new QlobberTrue({
    separator: '/',
    wildcard_one: '+',
    wildcard_some: '#',
    match_empty_levels: true, // [MQTT-4.7.1-3]
  });
  readonly #known = new Map<string, boolean>();

  add(filter: string): void {
    const count = this.#filters.get(filter) ?? 0;
    this.#filters.set(filter, count + 1);
    if (count > 0) return;
    this.#matcher.add(filter);
    this.#known.clear();
  }

  /** One subscription with the filter is over. */
  remove(filter: string): void {
    const count = this.#filters.get(filter);
    if (count === undefined) return;
    if (count > 1) {
      this.#filters.set(filter, count - 1);
      return;
    }
    this.#filters.delete(filter);
    this.#matcher.remove(filter);
    this.#known.clear();
  }

  /** Whether a publish to the topic may have a reader here. */
  matches(topic: string): boolean {
    if (this.#filters.size === 0) return false;
    const before = this.#known.get(topic);
    if (before !== undefined) return before;
    const answer = this.#matcher.test(topic);
    if (this.#known.size >= TOPICS_KNOWN_MAX) this.#known.clear();
    this.#known.set(topic, answer);
    return answer;
  }
}
