/**
 * The faults of every loopback cloud. They affect the ingest side, but for `duplicate`, `reorder` and `late`,
 * which are of the delivery, and `credentials-silent`, which is of both sides.
 */

export const FAULT_NAMES = [
  /** The port is closed; open connections are cut. */
  'refuse',
  /** Connections are accepted and never answered; open connections become silent too. */
  'blackhole',
  /** Every answer takes `latencyMs` ± `jitterMs` longer. */
  'slow',
  /** `slow` whose latency grows from zero to the full value over `periodMs`, and stays there. */
  'slow-ramp',
  /**
   * The provider's own form of "too many requests" above `perSecond` (IoT Hub over MQTT: late PUBACKs, then a
   * cut).
   */
  'throttle',
  /** HTTP 500 / CONNACK 3 / UNAVAILABLE. */
  'error',
  /** A proxy's HTML page with status 503 instead of the API's answer. */
  'html503',
  /**
   * The front door of an overloaded provider: in turn, an answer is 503 at once, comes after `latencyMs` ±
   * `jitterMs`, or is as ever. IoT Hub has no 503: it refuses logins (CONNACK 3) and cuts
   * connections.
   */
  'brownout',
  /** Connections are reset (RST) when data arrives. */
  'reset',
  /** Credentials are refused. */
  'unauthorized',
  /**
   * The message is accepted and delivered, and its acknowledgement is never sent: the main cause of
   * duplicates.
   */
  'ack-lost',
  /** Each message is delivered to the consumer twice. */
  'duplicate',
  /** Messages reach the consumer out of order. */
  'reorder',
  /** The message is acknowledged and never delivered (grey failure). */
  'drop-after-ack',
  /**
   * The message is acknowledged and held until the fault is over. The provider's stamps say that it came
   * `latencyMs` before it did: an hour's delay in a short test.
   */
  'late',
  /**
   * The service of temporary credentials (STS, the token endpoint) takes requests and never answers; the
   * data plane works. Without effect on long-lived keys, and at Azure, which has no service of this kind: a
   * gateway signs its own tokens or has a certificate.
   */
  'credentials-silent',
  /** `refuse` on and off every `periodMs`. */
  'flap',
] as const;

export type FaultName = (typeof FAULT_NAMES)[number];

export interface Fault {
  name: FaultName;
  /** For `slow`, `slow-ramp`, `brownout` and `late`. Default 800. */
  latencyMs: number;
  /** For `slow`, `slow-ramp` and `brownout`. Default 300. */
  jitterMs: number;
  /** For `flap`: half a cycle; for `slow-ramp`: the time to the full latency. Default 2000. */
  periodMs: number;
  /** For `throttle`: requests that pass in each second. Default 0. */
  perSecond: number;
  /** For `throttle` at AWS IoT and Pub/Sub: the pause that it asks for, in whole seconds, less than 128. */
  retryAfterMs: number | null;
  /** For `throttle` and `brownout`: whether the router's side has the fault as well. Default false. */
  bothSides: boolean;
  /** For `throttle` of the router's side at AWS and Pub/Sub: only deletes and acknowledgements. */
  settlementsOnly: boolean;
}

export function fault(name: FaultName, options: Partial<Omit<Fault, 'name'>> = {}): Fault {
  const defaults = { latencyMs: 800, jitterMs: 300, periodMs: 2000, perSecond: 0, bothSides: false };
  return { name, ...defaults, settlementsOnly: false, retryAfterMs: null, ...options };
}

/** Faults at the TCP level, done by {@link ../loopback/tcp-proxy.ts} in front of every cloud. */
export const TRANSPORT_FAULTS: ReadonlySet<FaultName> = new Set([
  'refuse',
  'blackhole',
  'slow',
  'slow-ramp',
  'reset',
  'flap',
]);
