/**
 * `usage.json` in the data folder: what was counted, over restarts. Written beside, synced and renamed, so that a power cut leaves
 * the old one or the new one. A file that cannot be read, or is not sound, counts as none (I9): money is not worth a stop.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { UsageSnapshot } from './usage.ts';

const count = z.number().nonnegative();
const amount = z.strictObject({
  units: count,
  records: count,
  usd: count,
  possibleUnits: count,
  possibleUsd: count,
});

/** The year 9999: later ones are written otherwise. */
const WALL_MS_MAX = 253_370_764_800_000;
/** Providers times streams, by a wide margin. */
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

export async function readUsageFile(file: string): Promise<UsageFileRead> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    return code === 'ENOENT' ? { state: 'missing' } : { state: 'damaged', problem: code };
  }
  const parsed = fileSchema.safeParse(jsonOf(text));
  if (parsed.success) {
    const { version: _, ...snapshot } = parsed.data;
    return { state: 'ok', snapshot };
  }
  const [issue] = parsed.error.issues;
  return {
    state: 'damaged',
    problem: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not as expected'}`,
  };
}

/** Rejects when the disk does not take it; the file is then as it was. */
export async function writeUsageFile(file: string, snapshot: UsageSnapshot): Promise<void> {
  const text = `${JSON.stringify({ version: 1, ...snapshot })}\n`;
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, 'w', 0o640);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The schema says what was expected.
  }
}
