/**
 * Checks that the open files are still those in the folder. A file that was deleted, or replaced by a copy,
 * while it is open still takes commits, but they are lost.
 */
import { statSync } from 'node:fs';
import { LedgerLost } from '../types.ts';

interface Place {
  path: string;
  /** The inode of the open file; null while there is none. */
  inode: number | null;
}

export class LedgerFile {
  readonly #places: Place[];

  /** Construct it after the file was opened. `lock`: the router's, which keeps a second one out. */
  constructor(file: string, lock: string | null = null) {
    const paths = [file, `${file}-wal`, ...(lock === null ? [] : [lock])];
    this.#places = paths.map((path) => ({ path, inode: inodeOf(path) }));
  }

  /**
   * Throws LedgerLost. Called after a commit: everything committed before this returns is in the file in the
   * folder.
   */
  check(): void {
    for (const place of this.#places) {
      const { path, inode } = place;
      const now = inodeOf(path);
      if (inode === null) place.inode = now;
      else if (now === null) throw new LedgerLost(`${path} was deleted while it is open`);
      else if (now !== inode) throw new LedgerLost(`${path} was replaced while it is open`);
    }
  }
}

function inodeOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? null;
}
