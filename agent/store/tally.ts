/** The store's own counts: waiting records in the file, and bytes written to disk. */
import { stat } from 'node:fs/promises';
import type { CommitResult, Opened } from './protocol.ts';
import type { StoreStats } from './types.ts';

export class Tally {
  rows = 0;
  bytes = 0;
  commits = 0;
  lastCommitMs = 0;
  payloadBytes = 0;
  /** Bytes written by threads that have ended. */
  #writtenBefore = 0;
  /** Bytes written by the present thread; null where the system does not report it. */
  #writtenNow: number | null = null;

  get writtenBytes(): number | null {
    return this.#writtenNow === null ? null : this.#writtenBefore + this.#writtenNow;
  }

  opened({ rows, bytes }: Opened): void {
    this.#writtenBefore += this.#writtenNow ?? 0;
    this.#writtenNow = null;
    this.rows = rows;
    this.bytes = bytes;
  }

  async stats(file: string): Promise<StoreStats> {
    const { rows, bytes, commits, lastCommitMs } = this;
    const [fileBytes, walBytes] = await Promise.all([sizeOf(file), sizeOf(`${file}-wal`)]);
    return { rows, bytes, fileBytes, walBytes, commits, lastCommitMs };
  }

  wrote(bytes: number | null): void {
    this.#writtenNow = bytes;
  }

  committed({ appended, freedRows, freedBytes }: CommitResult, tookMs: number): void {
    this.commits += 1;
    this.lastCommitMs = tookMs;
    for (const { first, last, bytes } of appended) {
      this.rows += last - first + 1;
      this.bytes += bytes;
      this.payloadBytes += bytes;
    }
    this.rows -= freedRows;
    this.bytes -= freedBytes;
  }
}

/** In bytes; 0 for a missing file. */
function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}
