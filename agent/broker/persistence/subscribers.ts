/** The sessions that a message is queued for, and the QoS in each. */
type Qos = 0 | 1 | 2;

/** One of a client's filters that matches the message. */
export interface Subscriber {
  clientId: string;
  /** The granted QoS; undefined counts as the QoS of the message. */
  qos?: Qos;
}

/**
 * Each client once, by the lower of the message's QoS and the highest QoS granted to one of the client's
 * matching filters [MQTT-3.3.5-1] [MQTT-3.8.4-6].
 */
export function clientsByQos(subscribers: readonly Subscriber[], published: Qos): Map<Qos, string[]> {
  const granted = new Map<string, Qos>();
  for (const { clientId, qos = published } of subscribers)
    if (qos >= (granted.get(clientId) ?? 0)) granted.set(clientId, qos);
  const clients = new Map<Qos, string[]>();
  for (const [client, highest] of granted) {
    const qos = highest < published ? highest : published;
    const same = clients.get(qos);
    if (same) same.push(client);
    else clients.set(qos, [client]);
  }
  return clients;
}
