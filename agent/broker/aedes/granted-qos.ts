/**
 * The QoS of a message to a subscriber: the lower of its own QoS and the highest QoS granted to a matching
 * filter [MQTT-3.8.4-6] [MQTT-3.3.5-1]. aedes 1.2.0 uses the first matching filter, and lowers the QoS for
 * filters without wildcards only.
 */
import type { Client } from 'aedes';
import { topicMatches } from '../../../shared/policy/topic-filter.ts';

interface Packet {
  topic: string;
  qos: number;
}

type Deliver = (packet: Packet, done: () => void) => void;

interface Subscription {
  qos: number;
}

/** The members of a client that aedes' handlers use and its types omit. */
interface Delivering {
  subscriptions: Record<string, Subscription>;
  deliver0: Deliver;
  deliverQoS: Deliver;
}

/** Above every QoS: aedes lowers no message to it, and treats the next SUBSCRIBE as a change. */
const NOT_LOWERED = 3;

/** Call before the client has read anything. */
export function sendAtGrantedQos(client: Client): void {
  const delivering = client as unknown as Delivering;
  const { deliver0, deliverQoS, subscriptions } = delivering;
  if (typeof deliver0 !== 'function' || typeof deliverQoS !== 'function' || !subscriptions)
    throw new Error('aedes changed: a client without deliver0, deliverQoS and subscriptions');
  const lifted = new WeakMap<Subscription, number>();
  const deliver: Deliver = (packet, done) => {
    const qos = Math.min(packet.qos, highestGranted(subscriptions, lifted, packet));
    if (qos === 0) {
      deliver0(packet, done);
      return;
    }
    const exact = subscriptions[packet.topic];
    if (exact && exact.qos < qos) {
      lifted.set(exact, exact.qos);
      exact.qos = NOT_LOWERED;
    }
    deliverQoS(Object.assign(packet, { qos }), done);
  };
  Object.assign(delivering, { deliver0: deliver, deliverQoS: deliver });
}

/** The message's own QoS when no filter matches: the message was on its way before an UNSUBSCRIBE. */
function highestGranted(
  subscriptions: Readonly<Record<string, Subscription>>,
  lifted: WeakMap<Subscription, number>,
  { topic, qos }: Packet,
): number {
  let highest = -1;
  for (const [filter, subscription] of Object.entries(subscriptions)) {
    const granted = lifted.get(subscription) ?? subscription.qos;
    if (granted > highest && topicMatches(filter, topic)) highest = granted;
    if (highest >= qos) break;
  }
  return highest < 0 ? qos : highest;
}
