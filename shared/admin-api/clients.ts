/** `GET /v1/clients` of an agent: the MQTT clients that came, connected or not. */

export interface ClientStatus {
  /**
   * MQTT client id, at most its first 128 characters; empty where a connection was refused before it told
   * one.
   */
  clientId: string;
  address: string;
  /** Null while it is not connected. */
  connectedForMs: number | null;
  /** How long ago its last byte, or its last refusal, was. */
  lastSeenMs: number;
  /** Publishes recorded since the agent started. */
  published: number;
  /** In the last ten seconds. */
  ratePerSecond: number;
  /** Connections and publishes refused, by reason. */
  refused: Readonly<Record<string, number>>;
  lastRefusal: string | null;
  /** Connections of it that another one with the same client id ended. */
  takenOver: number;
}

/** A page; clients that are not connected are kept up to a bound, the last that were heard of. */
export interface ClientsAnswer {
  kind: 'clients';
  known: number;
  connected: number;
  /** Of all clients. */
  takenOver: number;
  /** By client id. */
  clients: ClientStatus[];
  /** `after` of the next page; null at the end. */
  next: string | null;
}
