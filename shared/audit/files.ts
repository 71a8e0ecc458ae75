/**
 * The files of an audit log in `<data_dir>/audit`: segments, each named by the number of its first entry, and
 * `head.json`, the last entry. An entry is synced before the head is written, so a log that is shorter than
 * its head was cut; bytes after the entry of the head may be an entry that a power failure cut short.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from '../sync-folder.ts';
import type { Head } from './core/chain.ts';
import { LINE_BYTES_MAX } from './core/entry.ts';

const SEGMENT = /^\d{12}\.ndjson$/;
const HEAD_BYTES_MAX = 1024;
const NEWLINE = 10;
/** Read from the end of a segment: the last entry, and one that was cut short. */
const TAIL_BYTES = 3 * LINE_BYTES_MAX;

export interface Segment {
  path: string;
  /** Number of its first entry. */
  first: number;
  bytes: number;
}

export interface Tail {
  /** The last complete line; null for a segment without any. */
  line: string | null;
  /** Bytes after it. */
  unfinished: number;
}

export function auditFolder(dataDir: string): string {
  return join(dataDir, 'audit');
}

export const lockFile = (folder: string): string => join(folder, 'lock');

const headFile = (folder: string): string => join(folder, 'head.json');

/** Ascending; none for a missing folder. */
export async function listSegments(folder: string): Promise<Segment[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  const segments: Segment[] = [];
  for (const name of names.filter((one) => SEGMENT.test(one)).toSorted()) {
    const path = join(folder, name);
    segments.push({ path, first: Number(name.slice(0, 12)), bytes: (await stat(path)).size });
  }
  return segments;
}

/** Null for a missing or damaged file. */
export async function readHead(folder: string): Promise<Head | null> {
  const path = headFile(folder);
  try {
    if ((await stat(path)).size > HEAD_BYTES_MAX) return null;
    const { log, seq, hash } = JSON.parse(await readFile(path, 'utf8'));
    return typeof log === 'string' && Number.isSafeInteger(seq) && typeof hash === 'string'
      ? { log, seq, hash }
      : null;
  } catch {
    return null; // Then the chain alone is checked.
  }
}

export async function writeHead(folder: string, head: Head): Promise<void> {
  const path = headFile(folder);
  const temporary = `${path}.tmp`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(head)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
  await syncFolder(folder);
}

export async function readTail({ path, bytes }: Pick<Segment, 'path' | 'bytes'>): Promise<Tail> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const from = Math.max(0, bytes - TAIL_BYTES);
    const buffer = Buffer.alloc(bytes - from);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, from);
    const read = buffer.subarray(0, bytesRead);
    const end = read.lastIndexOf(NEWLINE);
    if (end < 0) return { line: null, unfinished: bytes };
    const start = end === 0 ? -1 : read.lastIndexOf(NEWLINE, end - 1);
    return { line: read.toString('utf8', start + 1, end), unfinished: bytesRead - end - 1 };
  } finally {
    await handle.close();
  }
}

/** Removes the last `bytes` of a segment. */
export async function cutEnd({ path }: Pick<Segment, 'path'>, bytes: number): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    await handle.truncate((await handle.stat()).size - bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Appends a line and syncs it. When the disk refuses a part of it, nothing of it stays, as far as the disk
 * allows; the error is then thrown.
 */
export async function appendLine(folder: string, path: string, line: string): Promise<void> {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
  const handle = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    const { size } = await handle.stat();
    try {
      await handle.appendFile(`${line}\n`);
      await handle.sync();
    } catch (error) {
      await handle.truncate(size).catch(() => undefined); // The next writer heals it.
      throw error;
    }
    if (size === 0) await syncFolder(folder);
  } finally {
    await handle.close();
  }
}

export function segmentPath(folder: string, first: number): string {
  return join(folder, `${String(first).padStart(12, '0')}.ndjson`);
}

export async function makeAuditFolder(folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error;
  });
}

export async function removeSegment(folder: string, { path }: Segment): Promise<void> {
  await unlink(path);
  await syncFolder(folder);
}

/** The lines of a segment, the last one perhaps cut short: `isWhole` is false for it. */
export async function* segmentLines(path: string): AsyncGenerator<{ line: string; isWhole: boolean }> {
  const handle: FileHandle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    let rest = '';
    for await (const chunk of handle.createReadStream({ encoding: 'utf8', autoClose: false })) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield { line, isWhole: true };
      // A line without an end is no entry, and must not fill the memory.
      if (rest.length > TAIL_BYTES) rest = rest.slice(0, TAIL_BYTES);
    }
    if (rest !== '') yield { line: rest, isWhole: false };
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
