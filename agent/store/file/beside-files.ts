/** Small things done with the files beside the buffer. */
import { closeSync, existsSync, fsyncSync, openSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';

/** What SQLite keeps beside a database: its log. */
export const LOG = '-wal';

/** Of the file system that `file` is on, for users without privileges; statfs(2). */
export function freeBytes(file: string): number {
  const { bavail, bsize } = statfsSync(dirname(file));
  return bavail * bsize;
}

/** 0 when it is not there. */
export function bytesOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

export function remove(file: string): void {
  if (existsSync(file)) unlinkSync(file);
}

/** A rename is durable when its folder is; fsync(2). */
export function syncFolderOf(file: string): void {
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
