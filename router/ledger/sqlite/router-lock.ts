/**
 * One router at a time on a SQLite ledger: two would read every cloud and deliver every record to the feeds
 * twice. A router holds an exclusive lock on a file beside the ledger; the kernel releases it when the
 * process ends in any way. Maintenance commands open the ledger without this lock, beside the router.
 *
 * The same file stores the ledger's id and its last noted position, so that a router neither starts empty
 * where the ledger is missing, nor continues with another ledger or an older copy.
 */
import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { EXIT } from '../../../shared/exit-codes.ts';
import { StartRefused } from '../../../shared/start-refused.ts';

/** Time for a router that is being replaced to end. */
const LOCK_WAIT_MS = 2000;

/** A ledger's id, and its last assigned offset. */
export interface LedgerNote {
  id: string;
  offset: number;
}

export class RouterLock {
  readonly #file: string;
  readonly #lock: Database.Database;

  private constructor(file: string, lock: Database.Database) {
    this.#file = file;
    this.#lock = lock;
  }

  /**
   * Throws StartRefused when another router has the ledger in `file` open, or when that file is missing and
   * existed before.
   */
  static take(file: string): RouterLock {
    const taken = new RouterLock(file, lockOn(file));
    if (taken.#noted() === null || existsSync(file)) return taken;
    taken.release();
    throw taken.#refusal('it is missing');
  }

  /** Throws StartRefused when `found` is not the noted ledger, or is an older copy of it. */
  expect(found: LedgerNote): void {
    const noted = this.#noted();
    if (noted !== null && noted.id !== found.id) throw this.#refusal('it is another ledger');
    if (noted !== null && found.offset < noted.offset) {
      throw this.#refusal(
        `it ends at offset ${found.offset}, and had come to ${noted.offset}: an older copy`,
      );
    }
    this.note(found);
  }

  /** Notes the ledger's position. */
  note({ id, offset }: LedgerNote): void {
    this.#lock.prepare('INSERT OR REPLACE INTO note VALUES (1, ?, ?)').run(id, offset);
  }

  release(): void {
    this.#lock.close();
  }

  #noted(): LedgerNote | null {
    const noted = this.#lock
      .prepare<[], LedgerNote>('SELECT ledger_id AS id, last_offset AS "offset" FROM note')
      .get();
    return noted ?? null;
  }

  #refusal(what: string): StartRefused {
    return new StartRefused(
      `${this.#file} is not the ledger that was here: ${what}. Put that one back, or go on as it is now with: headgate ledger accept --config <router.yaml>`,
      EXIT.config,
    );
  }
}

/**
 * Forgets which ledger was in `file`. False when none was known. Throws StartRefused while a router has it.
 */
export function forgetSqliteLedger(file: string): boolean {
  if (!existsSync(`${file}.lock`)) return false;
  const lock = lockOn(file);
  try {
    return lock.prepare('DELETE FROM note').run().changes > 0;
  } finally {
    lock.close();
  }
}

/** The lock on the ledger in `file`, until it is closed. Throws StartRefused when another has it. */
function lockOn(file: string): Database.Database {
  const lock = new Database(`${file}.lock`, { timeout: LOCK_WAIT_MS });
  try {
    lock.pragma('locking_mode = EXCLUSIVE');
    // SQLite takes the lock here, and in this mode keeps it until the connection is closed.
    lock.exec(
      `BEGIN EXCLUSIVE;
       CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY CHECK (id = 1), ledger_id TEXT NOT NULL,
         last_offset INTEGER NOT NULL) STRICT;
       COMMIT`,
    );
    return lock;
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
