/**
 * Small JSON files in the data folder that survive a restart. A new version is written to a temporary file,
 * synced and renamed, so that a power cut leaves the old one or the new one. A file that is unreadable or
 * invalid counts as none: no such file is worth a stop (I9).
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { syncFolder } from '../../shared/sync-folder.ts';

export type StateFileRead<T> =
  | { state: 'ok'; value: T }
  | { state: 'missing' }
  | { state: 'damaged'; problem: string };

/** Never rejects. */
export async function readStateFile<T>(file: string, schema: z.ZodType<T>): Promise<StateFileRead<T>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    return code === 'ENOENT' ? { state: 'missing' } : { state: 'damaged', problem: code };
  }
  const parsed = schema.safeParse(jsonOf(text));
  if (parsed.success) return { state: 'ok', value: parsed.data };
  const [issue] = parsed.error.issues;
  return {
    state: 'damaged',
    problem: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not as expected'}`,
  };
}

/** Rejects when the disk refuses the write; the old file then remains. */
export async function writeStateFile(file: string, value: object): Promise<void> {
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, 'w', 0o640);
  try {
    await handle.writeFile(`${JSON.stringify(value)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncFolder(dirname(file));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The schema then reports the expected form.
  }
}
