/**
 * The faults every loopback cloud can be told to have. All but `duplicate` and `reorder` hit the side that
 * gateways publish to.
 */

export const FAULT_NAMES = [
  /** The port is closed; open connections are cut. */
  'refuse',
  /** Connections are accepted and never answered; open connections fall silent too. */
  'blackhole',
  /** Every answer takes `latencyMs` ± `jitterMs` longer. */
  'slow',
  /** `slow` that grows from zero to its full latency over `periodMs`, and stays there. */
  'slow-ramp',
  /** The provider's own way to say "too many requests" (IoT Hub over MQTT: late PUBACKs, then a cut). */
  'throttle',
  /** HTTP 500 / CONNACK 3 / UNAVAILABLE. */
  'error',
  /** A proxy's HTML page with status 503 where the API's answer should be. */
  'html503',
  /** Connections are reset (RST) when data arrives. */
  'reset',
  /** Credentials are refused. */
  'unauthorized',
  /** The message is taken and delivered, the acknowledgement never leaves: the main source of duplicates. */
  'ack-lost',
  /** Each message is delivered to the consumer twice. */
  'duplicate',
  /** Messages reach the consumer out of order. */
  'reorder',
  /** Acknowledged and never delivered (grey failure). */
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
  /** For `flap`: half a cycle; for `slow-ramp`: how long it grows. Default 2000. */
  periodMs: number;
}

export function fault(name: FaultName, options: Partial<Omit<Fault, 'name'>> = {}): Fault {
  return { name, latencyMs: 800, jitterMs: 300, periodMs: 2000, ...options };
}

/**
 * The faults that are plain TCP weather, done by {@link ../loopback/tcp-proxy.ts} in front of every cloud.
 */
export const TRANSPORT_FAULTS: ReadonlySet<FaultName> = new Set([
  'refuse',
  'blackhole',
  'slow',
  'slow-ramp',
  'reset',
  'flap',
]);
