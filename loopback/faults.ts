/** The faults of every loopback cloud. All except `duplicate` and `reorder` affect the ingest side. */

export const FAULT_NAMES = [
  /** The port is closed; open connections are cut. */
  'refuse',
  /** Connections are accepted and never answered; open connections become silent too. */
  'blackhole',
  /** Every answer takes `latencyMs` ± `jitterMs` longer. */
  'slow',
  /** `slow` whose latency grows from zero to the full value over `periodMs`, and stays there. */
  'slow-ramp',
  /** The provider's own form of "too many requests" (IoT Hub over MQTT: late PUBACKs, then a cut). */
  'throttle',
  /** HTTP 500 / CONNACK 3 / UNAVAILABLE. */
  'error',
  /** A proxy's HTML page with status 503 instead of the API's answer. */
  'html503',
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
  /** `refuse` on and off every `periodMs`. */
  'flap',
] as const;

export type FaultName = (typeof FAULT_NAMES)[number];

export interface Fault {
  name: FaultName;
  /** For `slow` and `slow-ramp`. Default 800. */
  latencyMs: number;
  /** For `slow` and `slow-ramp`. Default 300. */
  jitterMs: number;
  /** For `flap`: half a cycle; for `slow-ramp`: the time to the full latency. Default 2000. */
  periodMs: number;
}

export function fault(name: FaultName, options: Partial<Omit<Fault, 'name'>> = {}): Fault {
  return { name, latencyMs: 800, jitterMs: 300, periodMs: 2000, ...options };
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
