/** Helpers for the files beside the buffer. */
import { closeSync, existsSync, fsyncSync, openSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';

/** Suffix of SQLite's write-ahead log. */
export const LOG = '-wal';

/** Free bytes of the file system of `file`, for unprivileged users; statfs(2). */
export function freeBytes(file: string): number {
  const { bavail, bsize } = statfsSync(dirname(file));
  return bavail * bsize;
}

/** Size of the file; 0 when it does not exist. */
export function bytesOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

export function remove(file: string): void {
  if (existsSync(file)) unlinkSync(file);
}

/** Syncs the folder, which makes a rename durable; fsync(2). */
export function syncFolderOf(file: string): void {
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
