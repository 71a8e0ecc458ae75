/**
 * The publish and subscribe rules of a device. Every rule allows; none denies. So the order of the rules does
 * not matter and a new rule never takes a permission away. An action that no rule allows is refused. A device
 * without any rule, its own or a group's, gets the default rule, which keeps devices apart from each other.
 */
import { filterCovers, topicMatches } from '../../../shared/policy/topic-filter.ts';

export interface AclRule {
  allow: 'publish' | 'subscribe' | 'both';
  /** Topic filter; `%u` stands for the device's name, `%c` for the MQTT client id. */
  topic: string;
}

const DEFAULT_RULES: readonly AclRule[] = [{ allow: 'both', topic: 'devices/%u/#' }];

/** The rules of one connection. */
export class Acl {
  readonly #publish: readonly string[];
  readonly #subscribe: readonly string[];

  /** `username` and `clientId` must not contain wildcards: they become part of topic filters. */
  constructor(rules: readonly AclRule[], who: { username: string; clientId: string }) {
    const filters = (allowed: AclRule['allow']): string[] =>
      (rules.length === 0 ? DEFAULT_RULES : rules)
        .filter(({ allow }) => allow === allowed || allow === 'both')
        .map(({ topic }) =>
          topic.replaceAll(/%[uc]/g, (mark) => (mark === '%u' ? who.username : who.clientId)),
        );
    this.#publish = filters('publish');
    this.#subscribe = filters('subscribe');
  }

  mayPublish(topic: string): boolean {
    return this.#publish.some((filter) => topicMatches(filter, topic));
  }

  /** Whether one rule allows every topic that `filter` can match. */
  maySubscribe(filter: string): boolean {
    return this.#subscribe.some((allowed) => filterCovers(allowed, filter));
  }

  /** Whether a message on `topic` may be delivered: rules can change while a subscription stays. */
  mayReceive(topic: string): boolean {
    return this.#subscribe.some((filter) => topicMatches(filter, topic));
  }
}
