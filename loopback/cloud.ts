/** The contract of a loopback cloud: servers on 127.0.0.1 that unmodified vendor SDKs talk to. */
import type { Service } from '../shared/service.ts';
import type { Fault } from './faults.ts';

export type CloudName = 'aws' | 'azure' | 'gcp';

/** The endpoints: gateways publish to one, the router reads from the other. */
export const CLOUD_ENDPOINTS = [
  'aws.ingest',
  'aws.queue',
  'azure.ingest',
  'azure.events',
  'gcp.ingest',
  'gcp.subscribe',
] as const;

export type CloudEndpoint = (typeof CLOUD_ENDPOINTS)[number];

/** Counted as the vendor bills it, on the side that gateways publish to. */
export interface CloudMeter {
  /** Publishes taken (also when the acknowledgement was then lost on purpose). */
  accepted: number;
  /**
   * Billed units: AWS 5 KB messages, IoT Hub 4 KB messages, Pub/Sub bytes with the 1,000-byte floor per
   * request.
   */
  units: number;
  /** Payload bytes of the accepted publishes. */
  bytes: number;
  /** Requests answered in any way. */
  requests: number;
  /** Publishes taken per stream (last topic level, or the `st` property), to check residency from outside. */
  perStream: Record<string, number>;
  /** Messages handed to consumers, and settled by them. */
  delivered: number;
  settled: number;
  /**
   * Messages that a consumer has yet to settle, those lent to one that died among them; 0 where consumers
   * keep their own place.
   */
  unsettled: number;
}

/** A meter at zero. */
export function emptyMeter(): CloudMeter {
  return {
    accepted: 0,
    units: 0,
    bytes: 0,
    requests: 0,
    perStream: {},
    delivered: 0,
    settled: 0,
    unsettled: 0,
  };
}

export interface Cloud extends Service {
  readonly name: CloudName;
  setFault(fault: Fault | null): Promise<void>;
  fault(): Fault | null;
  meter(): CloudMeter;
  /**
   * Ready-made `providers[]` entry for agent.yaml and `sources[]` entry for router.yaml; valid after `start`.
   */
  agentConfig(gateway: string): Record<string, unknown>;
  routerConfig(): Record<string, unknown>;
}
