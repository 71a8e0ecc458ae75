/**
 * `usage.json` in the data folder: the count over restarts. A damaged file counts as none, because a lost
 * count must not stop the agent (I9).
 */
import { z } from 'zod';
import { readStateFile, writeStateFile } from '../runtime/state-file.ts';
import type { UsageSnapshot } from './usage.ts';

const count = z.number().nonnegative();
const amount = z.strictObject({
  units: count,
  records: count,
  usd: count,
  possibleUnits: count,
  possibleUsd: count,
});

/** End of the year 9999: later years have another ISO format. */
const WALL_MS_MAX = 253_370_764_800_000;
/** Far above the number of (provider, stream) pairs. */
const ENTRIES_MAX = 10_000;

const fileSchema = z.strictObject({
  version: z.literal(1),
  atMs: count.max(WALL_MS_MAX),
  dated: z.boolean(),
  sinceMs: count.max(WALL_MS_MAX),
  entries: z
    .array(z.strictObject({ provider: z.string(), stream: z.string(), today: amount, month: amount }))
    .max(ENTRIES_MAX),
});

export type UsageFileRead =
  | { state: 'ok'; snapshot: UsageSnapshot }
  | { state: 'missing' }
  | { state: 'damaged'; problem: string };

/** Never rejects. */
export async function readUsageFile(file: string, gateway: string | null = null): Promise<UsageFileRead> {
  const read = await readStateFile(file, fileSchema, gateway);
  if (read.state !== 'ok') return read;
  const { version: _, ...snapshot } = read.value;
  return { state: 'ok', snapshot };
}

/** Rejects when the disk refuses the write; the old file then remains. */
export function writeUsageFile(
  file: string,
  snapshot: UsageSnapshot,
  gateway: string | null = null,
): Promise<void> {
  return writeStateFile(file, { version: 1, ...snapshot }, gateway);
}
