/** aedes delivers a publish only when its topic has a subscriber on the gateway (subscribed-topics.ts). */
import type { Aedes, Client } from 'aedes';
import { writeToStream } from 'mqtt-packet';
import type { SubscribedTopics } from './subscribed-topics.ts';

// mqtt-packet would cache a Buffer for each possible packet id, 7 MB in all. The cache brings no measurable
// speed.
writeToStream.cacheNumbers = false;

type Done = (error?: Error) => void;

interface Packet {
  topic: string;
  retain: boolean;
}

/** Methods that aedes' own handlers call on their broker, with the signatures that the handlers use. */
interface Called {
  publish(packet: Packet, client: Client | Done | null, done?: Done): void;
  subscribe(topic: string, deliver: object, done?: Done): void;
  unsubscribe(topic: string, deliver: object, done?: Done): void;
}

/**
 * Makes `aedes` count subscriptions in `subscribedTopics` and deliver only to topics with a subscriber.
 * Returns it.
 */
export function skipUnheard(aedes: Aedes, subscribedTopics: SubscribedTopics): Aedes {
  const { publish, subscribe, unsubscribe } = aedes as unknown as Called;
  // A client may send two UNSUBSCRIBEs at once; its subscription ends once.
  const live = new WeakSet<object>();
  const replaced: Called = {
    publish(packet, client, done) {
      // A packet without a client is one of aedes' own. A retained message is stored for future subscribers.
      const isOfClient = typeof client === 'object' && client !== null;
      if (!isOfClient) {
        publish.call(aedes, packet, client, done);
        return;
      }
      // The publisher does not wait for its subscribers: one blocked subscriber would block all publishers.
      if (packet.retain || subscribedTopics.matches(packet.topic))
        publish.call(aedes, packet, client, () => undefined);
      done?.();
    },
    subscribe(topic, deliver, done) {
      live.add(deliver);
      subscribedTopics.add(topic);
      subscribe.call(aedes, topic, deliver, done);
    },
    unsubscribe(topic, deliver, done) {
      if (live.delete(deliver)) subscribedTopics.remove(topic);
      unsubscribe.call(aedes, topic, deliver, done);
    },
  };
  return Object.assign(aedes, replaced);
}
