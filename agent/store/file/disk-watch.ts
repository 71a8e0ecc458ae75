/**
 * The store thread's view of the disk under the buffer. On a full disk even a DELETE fails, because the log
 * has to grow for it. So some space is reserved in a separate file, and released when the disk is full.
 *
 * SQLite does not notice that its file was unlinked or unmounted, and reports the same error for a write to a
 * read-only disk as for a broken disk. So the file is compared with its path, and after a failure a small
 * test write is made.
 */
import { closeSync, existsSync, fsyncSync, openSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { isOutOfDescriptors } from '../../../shared/out-of-descriptors.ts';
import { type DiskState, diskStateOf } from '../disk-state.ts';
import { StoreError } from '../types.ts';
import { freeBytes, remove } from './beside-files.ts';

const BLOCK = new Uint8Array(64 * 1024);
/** The reserve is made only with this multiple of its size free. */
const MAKE_WITH_FREE = 2;
/**
 * Intake stops below the first share of the reserve's size, before a write fails, and resumes above the
 * second.
 */
const LOW = 0.25;
const NO_LONGER_LOW = 0.5;

export interface DiskWatchOptions {
  /** The buffer's file. */
  file: string;
  /** 0: no reserve. */
  reserveBytes: number;
  /** Device of the folder when this process first opened the buffer; null before. */
  device: number | null;
}

export class DiskWatch {
  readonly #options: DiskWatchOptions;
  #inode: { dev: number; ino: number } | null = null;
  #isLow: boolean = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  /** Throws StoreError when the folder is on another device: its mount is gone. */
  beforeOpening(): void {
    const { file, device } = this.#options;
    if (device === null) return;
    const found = statSync(dirname(file), { throwIfNoEntry: false });
    if (found?.dev !== device) throw missing(`the folder of ${file} is gone`);
  }

  /** Call when the file is open. Returns the folder's device. */
  opened(): number {
    const { file } = this.#options;
    const { dev, ino } = statSync(file);
    this.#inode = { dev, ino };
    this.#makeReserve();
    return statSync(dirname(file)).dev;
  }

  /**
   * Called periodically: whether there is room for records. Throws StoreError when the file is no longer at
   * its path.
   */
  hasRoom(): boolean {
    const { file, reserveBytes } = this.#options;
    const found = statSync(file, { throwIfNoEntry: false });
    if (!found || found.ino !== this.#inode?.ino || found.dev !== this.#inode.dev) {
      throw missing(`${file} is no longer there`);
    }
    if (reserveBytes === 0) return true;
    this.#makeReserve();
    const part = this.#isLow ? NO_LONGER_LOW : LOW;
    this.#isLow = !existsSync(this.#reserve) || freeBytes(file) < reserveBytes * part;
    return !this.#isLow;
  }

  /** Deletes the reserve, which frees its space. */
  releaseReserve(): void {
    remove(this.#reserve);
  }

  /** The state of the disk, after `error`. */
  stateAfter(error: unknown): DiskState {
    const { file, device } = this.#options;
    const said = error instanceof StoreError ? error.disk : diskStateOf(error);
    try {
      const folder = statSync(dirname(file), { throwIfNoEntry: false });
      // Before the first opening, the folder may be missing because the disk refused to create it.
      if (!folder && device === null && said !== 'failed') return said;
      if (!folder || (device !== null && folder.dev !== device)) return 'missing';
      this.#tryWrite();
      return said;
    } catch (found) {
      const state = diskStateOf(found);
      return state === 'failed' ? said : state;
    }
  }

  get #reserve(): string {
    return `${this.#options.file}.reserve`;
  }

  /** Fills the reserve with zeros. A compressing file system does not store them: there it has no effect. */
  #makeReserve(): void {
    const { file, reserveBytes } = this.#options;
    if (existsSync(this.#reserve) && statSync(this.#reserve).size === reserveBytes) return;
    this.releaseReserve();
    if (reserveBytes === 0 || freeBytes(file) < reserveBytes * MAKE_WITH_FREE) return;
    const reserve = openedIfPossible(this.#reserve);
    if (reserve === null) return;
    try {
      for (let left = reserveBytes; left > 0; )
        left -= writeSync(reserve, BLOCK, 0, Math.min(left, BLOCK.length));
      fsyncSync(reserve);
    } catch (error) {
      this.releaseReserve();
      if (diskStateOf(error) !== 'disk-full') throw error;
    } finally {
      closeSync(reserve);
    }
  }

  #tryWrite(): void {
    const probe = `${this.#options.file}.probe`;
    const opened = openSync(probe, 'w', 0o600);
    try {
      writeSync(opened, BLOCK, 0, 4096);
      fsyncSync(opened);
    } finally {
      closeSync(opened);
      remove(probe);
    }
  }
}

/** Null while the process or the system has no free file descriptor, which says nothing about the disk. */
function openedIfPossible(file: string): number | null {
  try {
    return openSync(file, 'w', 0o600);
  } catch (error) {
    if (isOutOfDescriptors(error)) return null;
    throw error;
  }
}

function missing(message: string): StoreError {
  return new StoreError('failed', message, 'missing');
}
