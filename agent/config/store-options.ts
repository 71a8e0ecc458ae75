/** The store's options in agent.yaml: its file, and its limits by the policy. */
import { join } from 'node:path';
import type { FileKey } from '../../shared/sqlite/open.ts';
import type { Durability, StoreLimits, StreamLimits } from '../store/limits.ts';
import type { AgentConfig } from './config.ts';

type StreamPolicy = AgentConfig['policy']['streams'][string];

/** The buffer's file, and its key when it is encrypted. */
export function bufferFile({ data_dir, buffer }: AgentConfig): { file: string; key: FileKey | null } {
  return { file: join(data_dir, 'buffer.db'), key: buffer.encryption_key ?? null };
}

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
