/** Small files that are replaced as a whole: written beside, synced and renamed, so that a power cut leaves the old one or the new one. */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { z } from 'zod';

export type FileRead<T> =
  | { state: 'ok'; value: T }
  | { state: 'missing' }
  | { state: 'damaged'; problem: string };

/** A file of JSON. One that cannot be read, or is not as the schema says, is damaged (I9). */
export async function readJsonFile<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
): Promise<FileRead<z.output<Schema>>> {
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
  const problem = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not as expected'}`;
  return { state: 'damaged', problem };
}

/** Rejects when the disk does not take it; the file is then as it was. One call at a time. */
export async function writeDurably(file: string, text: string): Promise<void> {
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
