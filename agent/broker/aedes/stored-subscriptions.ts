/**
 * aedes 1.2.0 stores all filters of a SUBSCRIBE in the client's session, the refused ones included. It would
 * then queue messages for a client that may never receive them, without bound (I10). So a refused filter is
 * removed again.
 */
import type { Aedes, Client } from 'aedes';

interface Subscriptions {
  removeSubscriptions(client: Client, topics: string[]): Promise<unknown>;
}

export class StoredSubscriptions {
  readonly #stored: Subscriptions;

  constructor(aedes: Aedes) {
    const persistence: unknown = Reflect.get(aedes, 'persistence');
    if (!holdsSubscriptions(persistence)) throw new Error('aedes changed: no list of subscriptions');
    this.#stored = persistence;
  }

  /** Removes the filter after aedes has stored the packet that it is handling. */
  remove(client: Client, topic: string): void {
    if (client.clean) return;
    setImmediate(() => void this.#stored.removeSubscriptions(client, [topic]));
  }
}

function holdsSubscriptions(value: unknown): value is Subscriptions {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'removeSubscriptions') === 'function'
  );
}
