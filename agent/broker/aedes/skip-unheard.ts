/** aedes, which asks first whether anybody on the gateway listens (audience.ts). */
import { Aedes, type AedesOptions, type Client } from 'aedes';
import { writeToStream } from 'mqtt-packet';
import type { Audience } from './subscribed-topics.ts';

// It would keep a Buffer of each packet id there can be, 7 MB of them; that an id is made when it is written
// does not show.
writeToStream.cacheNumbers = false;

type Done = (error?: Error) => void;

interface Packet {
  topic: string;
  retain: boolean;
}

/** Methods that aedes' own handlers call on their broker, by the signatures they use. */
interface Called {
  publish(packet: Packet, client: Client | Done | null, done?: Done): void;
  subscribe(topic: string, deliver: object, done?: Done): void;
  unsubscribe(topic: string, deliver: object, done?: Done): void;
}

/** @returns an aedes that counts subscriptions in `audience` and delivers only to where there is one. */
export function attentiveAedes(options: AedesOptions, audience: Audience): Aedes {
  const aedes = new Aedes(options);
  const { publish, subscribe, unsubscribe } = aedes as unknown as Called;
  // A client may send two UNSUBSCRIBEs at once; its subscription is over once.
  const live = new WeakSet<object>();
  const attentive: Called = {
    publish(packet, client, done) {
      // Without a client it is aedes' own, for itself; a retained one is for readers to come.
      const isForNobody =
        typeof client === 'object' && client !== null && !packet.retain && !audience.listensTo(packet.topic);
      if (isForNobody) {
        done?.();
      } else if (typeof client === 'object' && client !== null) {
        // Whoever publishes must not wait for whoever reads: one reader that is stuck would stop all of them.
        publish.call(aedes, packet, client, () => undefined);
        done?.();
      } else {
        publish.call(aedes, packet, client, done);
      }
    },
    subscribe(topic, deliver, done) {
      live.add(deliver);
      audience.add(topic);
      subscribe.call(aedes, topic, deliver, done);
    },
    unsubscribe(topic, deliver, done) {
      if (live.delete(deliver)) audience.remove(topic);
      unsubscribe.call(aedes, topic, deliver, done);
    },
  };
  return Object.assign(aedes, attentive);
}
