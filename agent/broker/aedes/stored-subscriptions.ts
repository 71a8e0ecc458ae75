/**
 * aedes 1.2.0 stores all filters of a SUBSCRIBE in the client's session, also those that were refused, and
 * would from then on queue for the client what it may never receive: without end (I10). So a refused filter
 * is taken out again.
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

  /** After the packet that is being handled was stored. */
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
