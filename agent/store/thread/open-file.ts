/**
 * Opens the buffer's SQLite file so that a commit is on the disk when it returns (I1), or refuses.
 *
 * WAL with `synchronous=FULL` syncs the log at every commit; with NORMAL a power cut loses acknowledged rows
 * and, worse, gives their sequence numbers again. better-sqlite3 is compiled to fall back to NORMAL in WAL
 * mode, so the setting is read back. The exclusive lock keeps a second process, perhaps with a SQLite that
 * has the WAL-reset bug (sqlite.org/wal.html, fixed in 3.51.3), out of the file.
 *
 * A file that is damaged is set aside under another name, and what can be read of it is in the new one (I9,
 * salvage.ts).
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { migrate, refuseNewer } from '../file/schema.ts';
import { checkContents, checkPages, isDamage } from '../salvage/integrity-check.ts';
import { salvage } from '../salvage/salvage.ts';
import { finishSettingAside, setAside } from '../salvage/set-aside.ts';
import { type Damage, type Salvaged, StoreError } from '../types.ts';

const LOCK_WAIT_MS = 2000;
/** Pages of 4 KiB after which the log is copied into the file, at most, and the log's default bound (I10). */
const CHECKPOINT_PAGES_MAX = 2000;
const LOG_BYTES = 16 * 2 ** 20;
const PAGE_BYTES = 4096;
/**
 * Pages in memory; better-sqlite3 would take 16 MB. Records are read once, in order, and the newest are here
 * or in the system's cache.
 */
const CACHE_KIB = 2048;
/** Value of `PRAGMA synchronous` for FULL (sqlite.org/pragma.html#pragma_synchronous). */
const SYNCHRONOUS_FULL = 2;

/**
 * Opens or creates `file`. Of a damaged one, what can be read is salvaged, and the rest is kept
 * (set-aside.ts). Throws StoreError `locked` or `newer-schema`, and SqliteError when the disk fails.
 * `logBytes`: what the log is kept to.
 */
export function openFile(
  file: string,
  logBytes: number = LOG_BYTES,
): { db: Database.Database; damage: Damage | null } {
  const folder = dirname(file);
  // Not those above it: where a mount is gone, nothing is begun on the disk under it.
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o750 });
  const damage = finishSettingAside(file, makeOfDamaged);
  try {
    return { db: openChecked(file, logBytes), damage };
  } catch (error) {
    if (!isDamage(error)) throw error;
    const found = setAside(file, error.message, makeOfDamaged);
    return { db: openChecked(file, logBytes), damage: found };
  }
}

function makeOfDamaged(damaged: string, target: string): Salvaged {
  const db = openChecked(target, LOG_BYTES);
  try {
    // Without a log, because one would need as much room again; a copy that is not whole is thrown away.
    db.pragma('journal_mode = OFF');
    return salvage(damaged, db);
  } finally {
    db.close();
  }
}

function openChecked(file: string, logBytes: number): Database.Database {
  const db = new Database(file, { timeout: LOCK_WAIT_MS });
  try {
    configure(db, logBytes);
    return db;
  } catch (error) {
    db.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new StoreError('locked', `another process has the buffer open: ${file}`);
    }
    throw error;
  }
}

function configure(db: Database.Database, logBytes: number): void {
  db.pragma('locking_mode = EXCLUSIVE');
  const version = pragmaNumber(db, 'user_version');
  refuseNewer(version);
  if (version === 0) db.pragma('auto_vacuum = INCREMENTAL');
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma(`cache_size = ${-CACHE_KIB}`);
  // At half of the bound, because the commit that passes it is in the log too.
  const pages = Math.floor(logBytes / 2 / PAGE_BYTES);
  db.pragma(`wal_autocheckpoint = ${Math.max(1, Math.min(CHECKPOINT_PAGES_MAX, pages))}`);
  db.pragma(`journal_size_limit = ${logBytes}`);
  checkPages(db);
  emptyLog(db);
  migrate(db, version);
  checkContents(db);
  const mode = db.pragma('journal_mode', { simple: true });
  if (mode !== 'wal' || pragmaNumber(db, 'synchronous') !== SYNCHRONOUS_FULL) {
    throw new Error(`SQLite did not take the durable settings (journal_mode=${String(mode)})`);
  }
}

/**
 * After a sync that failed, the kernel may count what it could not write as written: the log that is found
 * then reads well and is not on the disk, and commits that were added behind it would be lost with it (I1).
 * So it is copied into the file, by writes and a sync of their own, before anything is added.
 */
function emptyLog(db: Database.Database): void {
  const isBusy = db.pragma('wal_checkpoint(TRUNCATE)', { simple: true });
  if (isBusy !== 0) throw new Error('the log that was found cannot be copied into the file');
}

/** A pragma that answers with one number. */
export function pragmaNumber(db: Database.Database, name: string): number {
  return Number(db.pragma(name, { simple: true }));
}
