/**
 * Whether the files that are open are still those in the folder. A file that was deleted, or replaced by a
 * copy, while it is open takes commits as before, and nobody ever reads them again.
 */
import { statSync } from 'node:fs';
import { LedgerLost } from '../types.ts';

interface Place {
  path: string;
  /** Of the inode that is open; null while there is none. */
  inode: number | null;
}

export class LedgerFile {
  readonly #places: Place[];

  /** After the file was opened. */
  constructor(file: string) {
    this.#places = [file, `${file}-wal`].map((path) => ({ path, inode: inodeOf(path) }));
  }

  /**
   * Throws LedgerLost. After a commit: what was committed before this returns is in the file that is there.
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
