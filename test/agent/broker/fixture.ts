/** A broker on a free port whose intake the test controls. */

import { Devices } from '../../../agent/broker/access/devices.ts';
import { Broker } from '../../../agent/broker/broker.ts';
import type { Publish } from '../../../agent/broker/intake.ts';
import type { BrokerOptions } from '../../../agent/broker/options.ts';
import { NOT_KEPT, type SessionStore } from '../../../agent/broker/persistence/session-log.ts';
import { type SessionLimits, Sessions } from '../../../agent/broker/persistence/sessions.ts';
import { type Clock, systemClock } from '../../../shared/clock.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';

export const SILENT = createLogger({ level: 'silent', levels: {} });

/** Never started, it knows no device. */
const NOBODY = new Devices({ file: '', clock: systemClock, log: SILENT });

export interface Held extends Publish {
  /** The record is durable. */
  commit(): void;
  /** The record is not durable. */
  fail(): void;
}

/** Intake calls, oldest first, each waiting for the test to settle it. */
export function heldIntake(): { calls: Held[]; intake: BrokerOptions['intake'] } {
  const calls: Held[] = [];
  const intake: BrokerOptions['intake'] = (publish, settled) => {
    let isOver = false;
    const once = (error: Error | null): void => {
      if (!isOver) settled(error);
      isOver = true;
    };
    calls.push({ ...publish, commit: () => once(null), fail: () => once(new Error('the disk failed')) });
  };
  return { calls, intake };
}

/** Sessions on a store, or in memory only. */
export function sessionsOn(
  store: SessionStore = NOT_KEPT,
  limits: Partial<SessionLimits> = {},
  clock: Clock = systemClock,
): Sessions {
  return new Sessions({
    store,
    clock,
    log: SILENT,
    limits: {
      maxSessions: 1000,
      maxSessionsPerDevice: 1000,
      maxQueuedBytesPerDevice: 1e7,
      maxRetainedMessagesPerDevice: 1000,
      maxRetainedBytesPerDevice: 1e6,
      expireAfterMs: 1e9,
      maxQueuedMessages: 1000,
      maxQueuedBytes: 1e6,
      maxTotalQueuedBytes: 1e7,
      maxRetainedMessages: 1000,
      maxRetainedBytes: 1e6,
      ...limits,
    },
  });
}

export async function startBroker(
  intake: BrokerOptions['intake'],
  options: Omit<Partial<BrokerOptions>, 'limits'> & { limits?: Partial<BrokerOptions['limits']> } = {},
): Promise<{ broker: Broker; port: number }> {
  const broker = new Broker({
    listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0 }],
    devices: NOBODY,
    allowAnonymous: true,
    localTopics: [],
    sessions: sessionsOn(),
    clock: systemClock,
    entropy: systemEntropy,
    log: SILENT,
    intake,
    ...options,
    limits: {
      maxPacketBytes: 262_144,
      connectTimeoutMs: 5000,
      maxConnections: 100,
      maxSubscriptions: 100,
      maxTopicBytes: 1024,
      maxTopicLevels: 32,
      maxConnectRate: 0,
      maxConnectionsPerDevice: 100,
      maxConnectRatePerDevice: 0,
      maxPendingPerAddress: 100,
      maxPacketRate: 0,
      maxConnectRatePerAddress: 0,
      maxPublishRate: 0,
      maxPublishBytesRate: 0,
      maxUnsentBytes: 2 ** 20,
      ...options.limits,
    },
  });
  await broker.start();
  return { broker, port: broker.addresses()[0]?.port ?? 0 };
}
