/** Translates the policy into the store's limits. */

import type { Durability, StoreLimits, StreamLimits } from '../store/limits.ts';
import type { AgentConfig } from './config.ts';

type StreamPolicy = AgentConfig['policy']['streams'][string];

export function storeLimits({ buffer, policy }: AgentConfig): StoreLimits {
  const streams = Object.entries(policy.streams).map(([name, stream]) => [name, streamLimits(stream)]);
  return { maxBytes: buffer.max_bytes, streams: Object.fromEntries(streams) };
}

function streamLimits({ durability, priority, max_bytes, max_age, when_full }: StreamPolicy): StreamLimits {
  return {
    durability: durabilityOf(durability),
    priority,
    maxBytes: max_bytes ?? null,
    maxAgeMs: max_age ?? null,
    whenFull: when_full,
  };
}

function durabilityOf(durability: StreamPolicy['durability']): Durability {
  if (typeof durability === 'string') return { kind: durability };
  return { kind: 'interval', intervalMs: durability.interval };
}
