/**
 * Small JSON files in the data folder that survive a restart. A new version is written to a temporary file,
 * synced and renamed, so that a power cut leaves the old one or the new one. A file that is unreadable or
 * invalid counts as none: no such file is worth a stop (I9). So does one of another gateway.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { syncFolder } from '../../shared/sync-folder.ts';

export type StateFileRead<T> =
  | { state: 'ok'; value: T }
  | { state: 'missing' }
  | { state: 'damaged'; problem: string };

/** Never rejects. `gateway`: whose file it is; files of earlier versions do not say it. */
export async function readStateFile<T>(
  file: string,
  schema: z.ZodType<T>,
  gateway: string | null = null,
): Promise<StateFileRead<T>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    return code === 'ENOENT' ? { state: 'missing' } : { state: 'damaged', problem: code };
  }
  const { own, content } = ownerIn(jsonOf(text));
  if (gateway !== null && own !== null && own !== gateway) {
    return { state: 'damaged', problem: `it is of gateway ${own}` };
  }
  const parsed = schema.safeParse(content);
  if (parsed.success) return { state: 'ok', value: parsed.data };
  const [issue] = parsed.error.issues;
  return {
    state: 'damaged',
    problem: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not as expected'}`,
  };
}

/** Rejects when the disk refuses the write; the old file then remains. */
export async function writeStateFile(
  file: string,
  value: object,
  gateway: string | null = null,
): Promise<void> {
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, 'w', 0o640);
  try {
    await handle.writeFile(`${JSON.stringify(gateway === null ? value : { gateway, ...value })}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncFolder(dirname(file));
}

/** The gateway in a file's text, null where it says none, and the rest. */
function ownerIn(value: unknown): { own: string | null; content: unknown } {
  if (typeof value !== 'object' || value === null || !('gateway' in value))
    return { own: null, content: value };
  const { gateway, ...content } = value;
  return { own: String(gateway), content };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The schema then reports the expected form.
  }
}
