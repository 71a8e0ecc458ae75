/**
 * One router at a time on a SQLite ledger: two would read every cloud and hand every record to the feeds
 * twice. A router holds an exclusive lock on a file beside the ledger, which the kernel releases with the
 * process, however it ends. Commands that look after the ledger open it without this lock, beside the router.
 */
import Database from 'better-sqlite3';
import { EXIT } from '../../../shared/exit-codes.ts';
import { StartRefused } from '../../../shared/start-refused.ts';

/** A router that is being replaced has this long to end. */
const LOCK_WAIT_MS = 2000;

export interface RouterLock {
  release(): void;
}

/** Throws StartRefused when another router has the ledger in `file`. */
export function lockForRouter(file: string): RouterLock {
  const lock = new Database(`${file}.lock`, { timeout: LOCK_WAIT_MS });
  try {
    lock.pragma('locking_mode = EXCLUSIVE');
    // SQLite takes the lock here, and keeps it until the connection is closed.
    lock.exec('BEGIN EXCLUSIVE');
    return { release: () => void lock.close() };
  } catch (error) {
    lock.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new StartRefused(
        `another router has the ledger open: ${file}; stop it, or give this one a data_dir of its own`,
        EXIT.failed,
      );
    }
    throw error;
  }
}
