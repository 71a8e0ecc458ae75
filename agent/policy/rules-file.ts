/**
 * The rules of all streams that may have records in the buffer, on the disk: a stream that leaves the policy
 * while the agent is down is known at the next start.
 */
import { z } from 'zod';
import { byteSizeText, durationText } from '../../shared/config/kinds.ts';
import { type StreamPolicy, streamSchema } from '../../shared/policy/policy.ts';
import { readStateFile, type StateFileRead, writeStateFile } from '../runtime/state-file.ts';
import type { RulesByStream, StreamRules } from './draining.ts';

const fileSchema = z.object({
  streams: z.record(z.string(), z.object({ stream: streamSchema, regions: z.array(z.string()).nullable() })),
});

/** Never rejects. Another gateway's file counts as damaged. */
export async function readRules(file: string, gateway: string): Promise<StateFileRead<RulesByStream>> {
  const read = await readStateFile(file, fileSchema, gateway);
  if (read.state !== 'ok') return read;
  return { state: 'ok', value: new Map<string, StreamRules>(Object.entries(read.value.streams)) };
}

/** Rejects when the disk refuses the write; the old file then remains. */
export function writeRules(file: string, gateway: string, rules: RulesByStream): Promise<void> {
  const streams = [...rules].map(([name, { stream, regions }]) => [
    name,
    { stream: asWritten(stream), regions },
  ]);
  return writeStateFile(file, { streams: Object.fromEntries(streams) }, gateway);
}

/** A stream's rules in the form of a policy file, which the schema reads. */
function asWritten({ linger, max_age, max_bytes, durability, ...rest }: StreamPolicy): object {
  return {
    ...rest,
    linger: durationText(linger),
    ...(max_age === undefined ? {} : { max_age: durationText(max_age) }),
    ...(max_bytes === undefined ? {} : { max_bytes: byteSizeText(max_bytes) }),
    durability: typeof durability === 'string' ? durability : { interval: durationText(durability.interval) },
  };
}
