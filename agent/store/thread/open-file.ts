/**
 * Opens the buffer's SQLite file such that a commit is on disk when it returns (I1), or refuses.
 *
 * WAL with `synchronous=FULL` syncs the log at every commit. With NORMAL, a power cut loses acknowledged rows
 * and then reuses their sequence numbers. better-sqlite3 is compiled to fall back to NORMAL in WAL mode, so
 * the setting is read back. The exclusive lock keeps a second process, perhaps with a SQLite that has the
 * WAL-reset bug (sqlite.org/wal.html, fixed in 3.51.3), out of the file.
 *
 * A damaged file is set aside under another name, and its readable part is copied to the new one (I9,
 * salvage.ts).
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { EXIT } from '../../../shared/exit-codes.ts';
import { prepareEncryption } from '../../../shared/sqlite/encrypted-file.ts';
import { type FileKey, openSqlite, type Sqlite, sqliteErrorCode } from '../../../shared/sqlite/open.ts';
import { StartRefused } from '../../../shared/start-refused.ts';
import { migrate, refuseNewer } from '../file/schema.ts';
import { checkContents, checkPages, isDamage } from '../salvage/integrity-check.ts';
import { salvage } from '../salvage/salvage.ts';
import { finishSettingAside, setAside } from '../salvage/set-aside.ts';
import { type Damage, type Salvaged, StoreError } from '../types.ts';

const LOCK_WAIT_MS = 2000;
/** Most log pages (of 4 KiB) before a checkpoint, and the log's default bound (I10). */
const CHECKPOINT_PAGES_MAX = 2000;
const LOG_BYTES = 16 * 2 ** 20;
const PAGE_BYTES = 4096;
/**
 * Page cache; better-sqlite3 would take 16 MB. Records are read once, in order, and the newest are in this
 * cache or the system's.
 */
const CACHE_KIB = 2048;
/** Value of `PRAGMA synchronous` for FULL (sqlite.org/pragma.html#pragma_synchronous). */
const SYNCHRONOUS_FULL = 2;

/**
 * Opens or creates `file`. The readable part of a damaged file is salvaged, and the damaged file is kept
 * (set-aside.ts). Throws StoreError `locked`, `newer-schema` or `encrypted`, and SqliteError when the disk
 * fails. `logBytes`: bound of the log. `key`: of an encrypted file.
 */
export function openFile(
  file: string,
  logBytes: number = LOG_BYTES,
  key: FileKey | null = null,
): { db: Sqlite; damage: Damage | null } {
  const folder = dirname(file);
  // Parent folders are not created: where a mount is missing, no buffer is created on the disk under it.
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o750 });
  prepare(file, key);
  const makeOfDamaged = (damaged: string, target: string): Salvaged => salvaged(damaged, target, key);
  const damage = finishSettingAside(file, makeOfDamaged);
  try {
    return { db: openChecked(file, logBytes, key), damage };
  } catch (error) {
    if (!isDamage(error)) throw error;
    const found = setAside(file, error.message, makeOfDamaged);
    return { db: openChecked(file, logBytes, key), damage: found };
  }
}

/** The key of the file, or the refusal of a wrong one: it must not be taken for damage. */
function prepare(file: string, key: FileKey | null): void {
  try {
    prepareEncryption(file, key, { option: 'buffer.encryption_key', mayChange: true });
  } catch (error) {
    if (error instanceof StartRefused)
      throw new StoreError(error.exitCode === EXIT.config ? 'encrypted' : 'locked', error.message);
    throw error;
  }
}

function salvaged(damaged: string, target: string, key: FileKey | null): Salvaged {
  const db = openChecked(target, LOG_BYTES, key);
  try {
    // Without a log, which would need the same room again; an incomplete copy is deleted.
    db.pragma('journal_mode = OFF');
    return salvage(damaged, db, key);
  } finally {
    db.close();
  }
}

function openChecked(file: string, logBytes: number, key: FileKey | null): Sqlite {
  const db = openSqlite(file, { timeout: LOCK_WAIT_MS }, key);
  try {
    configure(db, logBytes);
    return db;
  } catch (error) {
    db.close();
    if (sqliteErrorCode(error)?.startsWith('SQLITE_BUSY') === true) {
      throw new StoreError('locked', `another process has the buffer open: ${file}`);
    }
    throw error;
  }
}

function configure(db: Sqlite, logBytes: number): void {
  db.pragma('locking_mode = EXCLUSIVE');
  const version = pragmaNumber(db, 'user_version');
  refuseNewer(version);
  if (version === 0) db.pragma('auto_vacuum = INCREMENTAL');
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma(`cache_size = ${-CACHE_KIB}`);
  // At half of the bound, because the log also holds the commit that crosses it.
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
 * After a failed sync, the kernel may treat unwritten pages as written: the log then reads correctly and is
 * not on disk, and commits appended to it would be lost with it (I1). So the log is copied into the file,
 * with writes and a sync of its own, before anything is appended.
 */
function emptyLog(db: Sqlite): void {
  const isBusy = db.pragma('wal_checkpoint(TRUNCATE)', { simple: true });
  if (isBusy !== 0) throw new Error('the log that was found cannot be copied into the file');
}

/** The value of a pragma with one numeric answer. */
export function pragmaNumber(db: Sqlite, name: string): number {
  return Number(db.pragma(name, { simple: true }));
}
