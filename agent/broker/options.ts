/** The broker's options and counters. */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Logger } from '../../shared/log.ts';
import type { DeviceFileState } from './access/device-file.ts';
import type { Devices } from './access/devices.ts';
import type { Publish } from './intake.ts';
import type { BrokerLimits, ListenerOptions } from './listeners/listener.ts';
import type { Sessions } from './persistence/sessions.ts';
import type { RefusalReason } from './refusals.ts';

export interface BrokerOptions {
  listeners: readonly ListenerOptions[];
  limits: BrokerLimits;
  /** Filters of topics that stay between devices: never recorded, and independent of the disk. */
  localTopics: readonly string[];
  /** The devices that may connect. */
  devices: Devices;
  /** Whether listeners without TLS accept clients without credentials. */
  allowAnonymous: boolean;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
  /** The persistent sessions, once the store is open. */
  sessions: Sessions;
  /** Whether a provider could carry the record; a publish that is too large is refused. */
  fits?: (publish: Pick<Publish, 'topic' | 'device' | 'payload'>) => boolean;
  /** Calls `settled` when the publish is durable; an error ends the connection without an acknowledgement. */
  intake: (publish: Publish, settled: (error: Error | null) => void) => void;
}

export interface BrokerStats {
  connections: number;
  /** Accepted publishes. */
  published: number;
  /** Refused connections and publishes. */
  refused: number;
  refusals: Partial<Record<RefusalReason, number>>;
  /** Connections that another one with the same client id ended. */
  takenOver: number;
  deviceFile: DeviceFileState;
}
