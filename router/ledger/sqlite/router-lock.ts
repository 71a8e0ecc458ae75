/**
 * One router at a time on a SQLite ledger: two would read every cloud and deliver every record to the feeds
 * twice. A router holds an exclusive lock on a file beside the ledger; the kernel releases it when the
 * process ends in any way. Maintenance commands open the ledger without this lock, beside the router.
 *
 * The same file stores the ledger's id and its last noted position, so that a router neither starts empty
 * where the ledger is missing, nor continues with another ledger or an older copy.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { EXIT } from '../../../shared/exit-codes.ts';
import { StartRefused } from '../../../shared/start-refused.ts';

/** Time for a router that is being replaced to end. */
const LOCK_WAIT_MS = 2000;

/** A ledger's id, its last assigned offset, and the number of its last note (marks.ts). */
export interface LedgerNote {
  id: string;
  offset: number;
  noted: number;
}

export function lockFile(file: string): string {
  return `${file}.lock`;
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
    if (noteIn(taken.#lock) === null || existsSync(file)) return taken;
    taken.release();
    throw refusal(file, 'it is missing');
  }

  /** Throws StartRefused when `found` is not the noted ledger, or is an older copy of it. */
  expect(found: LedgerNote): void {
    expectKnown(this.#file, noteIn(this.#lock), found);
    this.note(found);
  }

  /** Notes the ledger's position. */
  note({ id, offset, noted }: LedgerNote): void {
    this.#lock.transaction(() => {
      this.#lock.prepare('INSERT OR REPLACE INTO note VALUES (1, ?, ?)').run(id, offset);
      this.#lock.prepare('INSERT OR REPLACE INTO noted VALUES (1, ?)').run(noted);
    })();
  }

  release(): void {
    this.#lock.close();
  }
}

/**
 * The note on the ledger in `file`, for a command: null where there is none, or while a router has the ledger
 * and knows better. Makes nothing.
 */
function knownLedger(file: string): LedgerNote | null {
  if (!existsSync(lockFile(file))) return null;
  const lock = new Database(lockFile(file), { readonly: true, timeout: 0 });
  try {
    return noteIn(lock);
  } catch (error) {
    if (isBusy(error)) return null;
    throw damaged(file, error);
  } finally {
    lock.close();
  }
}

/** The note, for a command, which makes no ledger. Throws StartRefused where there is none in `file`. */
export function expectThere(file: string): LedgerNote | null {
  const known = knownLedger(file);
  if (existsSync(file)) return known;
  throw known === null
    ? new StartRefused(`there is no ledger in ${dirname(file)}`, EXIT.failed)
    : refusal(file, 'it is missing');
}

/** Throws StartRefused when `found` is not the ledger of `known`. */
export function expectKnown(file: string, known: LedgerNote | null, found: LedgerNote): void {
  const problem = problemOf(known, found);
  if (problem !== null) throw refusal(file, problem);
}

/**
 * Forgets which ledger was in `file`, after `accept` has taken its parts as they are, with no router beside.
 * Throws StartRefused while a router has it.
 */
export function forgetSqliteLedger(
  file: string,
  accept: () => string[],
): { wasKnown: boolean; parts: string[] } {
  if (!existsSync(lockFile(file))) return { wasKnown: false, parts: accept() };
  const lock = lockOn(file);
  try {
    const parts = accept();
    return { wasKnown: lock.prepare('DELETE FROM note').run().changes > 0, parts };
  } finally {
    lock.close();
  }
}

function problemOf(known: LedgerNote | null, found: LedgerNote): string | null {
  if (known === null) return null;
  if (known.id !== found.id) return 'it is another ledger';
  if (found.offset < known.offset) {
    return `it ends at offset ${found.offset}, and had come to ${known.offset}: an older copy`;
  }
  if (found.noted < known.noted) {
    return `it ends at note ${found.noted}, and had come to ${known.noted}: an older copy`;
  }
  return null;
}

function noteIn(lock: Database.Database): LedgerNote | null {
  const tables = lock.prepare<[], number>("SELECT count(*) FROM sqlite_schema WHERE name = 'noted'").pluck();
  const noted = tables.get() === 0 ? '0' : 'ifnull((SELECT number FROM noted), 0)';
  const note = lock
    .prepare<[], LedgerNote>(`SELECT ledger_id AS id, last_offset AS "offset", ${noted} AS noted FROM note`)
    .get();
  return note ?? null;
}

function refusal(file: string, what: string): StartRefused {
  return new StartRefused(
    `${file} is not the ledger that was here: ${what}. Put that one back, with its ${file}-wal where there is one, or go on as it is now with: headgate ledger accept --config <router.yaml>`,
    EXIT.config,
  );
}

/** The lock on the ledger in `file`, until it is closed. Throws StartRefused when another has it. */
function lockOn(file: string): Database.Database {
  const lock = new Database(lockFile(file), { timeout: LOCK_WAIT_MS });
  try {
    lock.pragma('locking_mode = EXCLUSIVE');
    // SQLite takes the lock here, and in this mode keeps it until the connection is closed.
    lock.exec(
      `BEGIN EXCLUSIVE;
       CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY CHECK (id = 1), ledger_id TEXT NOT NULL,
         last_offset INTEGER NOT NULL) STRICT;
       CREATE TABLE IF NOT EXISTS noted (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL) STRICT;
       COMMIT`,
    );
    return lock;
  } catch (error) {
    lock.close();
    if (!isBusy(error)) throw damaged(file, error);
    throw new StartRefused(
      `another router has the ledger open: ${file}; stop it, or give this one a data_dir of its own`,
      EXIT.failed,
    );
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
}

/** A refusal where the lock's file is no database any more; other errors stay as they are. */
function damaged(file: string, error: unknown): unknown {
  if (!(error instanceof Database.SqliteError) || !/^SQLITE_(NOTADB|CORRUPT|ERROR)/.test(error.code))
    return error;
  return new StartRefused(
    `${lockFile(file)} is damaged: it says which ledger was here; remove it to go on with the ledger as it is now`,
    EXIT.config,
    error,
  );
}
