/** The contract of a loopback cloud: servers on 127.0.0.1 that unmodified vendor SDKs talk to. */
import type { Service } from '../shared/service.ts';
import type { Fault } from './faults.ts';
import type { PermanentRefusal } from './permanent-refusal.ts';

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

/** Metered like the vendor's billing, on the ingest side. */
export interface CloudMeter {
  /** Accepted publishes, including those with a deliberately lost acknowledgement. */
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
  /**
   * Accepted publishes per stream (last topic level, or the `st` property), to check residency from outside.
   */
  perStream: Record<string, number>;
  /** Messages delivered to consumers, and settled by them. */
  delivered: number;
  settled: number;
  /**
   * Messages that consumers have not settled, including those leased to a dead consumer; 0 where consumers
   * keep their own position.
   */
  unsettled: number;
  /** Requests of consumers that were throttled. */
  throttled: number;
}

/**
 * Called with each message as the cloud stores it, in JSON, the payload in base64 as `data`. Queues, archives
 * and backups have it; the gateway's owner can neither read nor erase them.
 */
export type OnStored = (message: string) => void;

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
    throttled: 0,
  };
}

export interface Cloud extends Service {
  readonly name: CloudName;
  /** In the provider's own form; without a rule it refuses nothing. */
  readonly refusal: PermanentRefusal;
  setFault(fault: Fault | null): Promise<void>;
  fault(): Fault | null;
  meter(): CloudMeter;
  /**
   * Ready-made `providers[]` entry for agent.yaml and `sources[]` entry for router.yaml; valid after `start`.
   */
  agentConfig(gateway: string): Record<string, unknown>;
  routerConfig(): Record<string, unknown>;
}
