/** What the broker is given, and what it says of itself. */
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
  /** Filters of topics that stay between devices: never recorded, whatever the disk does. */
  localTopics: readonly string[];
  /** Who may connect. */
  devices: Devices;
  /** Whether clients without credentials are taken, on listeners without TLS. */
  allowAnonymous: boolean;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
  /** What outlives connections and restarts, once it is open. */
  sessions: Sessions;
  /** Whether a provider could carry the record; a publish that does not fit is refused. */
  fits?: (publish: Pick<Publish, 'topic' | 'device' | 'payload'>) => boolean;
  /** Tells `settled` when the publish is durable; an error ends the connection without an acknowledgement. */
  intake: (publish: Publish, settled: (error: Error | null) => void) => void;
}

export interface BrokerStats {
  connections: number;
  /** Publishes taken. */
  published: number;
  /** Connections and publishes not taken. */
  refused: number;
  refusals: Partial<Record<RefusalReason, number>>;
  deviceFile: DeviceFileState;
}
