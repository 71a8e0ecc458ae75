/** Opens the ledger's SQLite file, durable and at a schema that this version knows. */
import { EXIT } from '../../../shared/exit-codes.ts';
import { prepareEncryption } from '../../../shared/sqlite/encrypted-file.ts';
import { type FileKey, openSqlite, type Sqlite, sqliteErrorCode } from '../../../shared/sqlite/open.ts';
import { StartRefused } from '../../../shared/start-refused.ts';
import { expectMarks } from './marks.ts';
import { SCHEMA, STEPS } from './tables.ts';

export type { Sqlite };

/** `PRAGMA synchronous` value FULL: every commit is fsynced (sqlite.org, pragma.html#pragma_synchronous). */
const SYNCHRONOUS_FULL = 2;
/** The size that the write-ahead log file keeps after a checkpoint (I10). */
const WAL_KEPT_BYTES = 64 * 1024 * 1024;

/** `PRAGMA user_version` of a file that this version wrote. */
const SCHEMA_VERSION = 1 + STEPS.length;
/**
 * `PRAGMA application_id` of a file whose free pages and free space hold no deleted content: every connection
 * since the first overwrites it. A file of an older version has 0.
 */
const OVERWRITTEN = 0x48_47_4c_31;

/**
 * Opens `file`, or creates it with `makes`, and migrates it. Throws when it is not a ledger, has a newer
 * version, is damaged, or cannot be made durable.
 */
export function openLedgerFile(file: string, makes = true, key: FileKey | null = null): Sqlite {
  const db = openSqlite(file, { fileMustExist: !makes }, key);
  try {
    // Deleted content is overwritten, not only unlinked (sqlite.org, pragma.html#pragma_secure_delete). In
    // the router too: copies that it leaves by moving or removing are out of a later erasure's reach.
    db.pragma('secure_delete = ON');
    db.pragma('journal_mode = WAL');
    db.pragma(`journal_size_limit = ${WAL_KEPT_BYTES}`);
    if (makes) db.transaction(() => bringForward(db, file)).immediate();
    else expectVersion(db, file);
    expectMarks(db, file);
    // In better-sqlite3's build of SQLite, WAL turns this to NORMAL at first use: it is set last, and
    // checked.
    db.pragma('synchronous = FULL');
    expectPragma(db, file, 'synchronous', SYNCHRONOUS_FULL);
    expectPragma(db, file, 'journal_mode', 'wal');
    expectPragma(db, file, 'secure_delete', 1);
    return db;
  } catch (error) {
    db.close();
    throw unreadable(file, key, error);
  }
}

/** Call it before the ledger's file is opened; `mayChange`: a file in clear is encrypted with the key. */
export function prepareLedger(file: string, key: FileKey | null, mayChange: boolean): void {
  prepareEncryption(file, key, { option: 'ledger.encryption_key', mayChange });
}

/** A refusal where `error` says that the file cannot be read with this key; other errors stay as they are. */
export function unreadable(file: string, key: FileKey | null, error: unknown): unknown {
  if (sqliteErrorCode(error) !== 'SQLITE_NOTADB') return error;
  const why =
    key === null
      ? 'it is damaged, or encrypted, and there is no ledger.encryption_key'
      : 'it is damaged, or encrypted with another key than ledger.encryption_key';
  const text = `ledger ${file} cannot be read: ${why}. Set the key, or restore the whole file from one backup`;
  return new StartRefused(text, EXIT.config, error);
}

/** Whether this version wrote the file last. */
export function isCurrent(db: Sqlite): boolean {
  return db.pragma('user_version', { simple: true }) === SCHEMA_VERSION;
}

/** A tool does not migrate a ledger. */
function expectVersion(db: Sqlite, file: string): void {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version === SCHEMA_VERSION) return;
  throw new StartRefused(
    `${file}: ledger schema ${version}, where this version of Headgate has ${SCHEMA_VERSION}; a router brings an older one forward when it starts`,
    EXIT.config,
  );
}

function bringForward(db: Sqlite, file: string): void {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version > SCHEMA_VERSION) {
    throw new StartRefused(
      `${file}: written by a newer Headgate (ledger schema ${version}, this one knows up to ${SCHEMA_VERSION})`,
      EXIT.config,
    );
  }
  if (version === 0) {
    const tables = db.prepare<[], number>('SELECT count(*) FROM sqlite_schema').pluck().get();
    if (tables !== 0) {
      throw new StartRefused(`${file}: a SQLite file, but not a Headgate ledger`, EXIT.config);
    }
    db.exec(SCHEMA);
    db.pragma(`application_id = ${OVERWRITTEN}`);
  }
  try {
    for (const step of STEPS.slice(Math.max(0, version - 1))) db.exec(step);
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'SQLITE_ERROR';
    if (version === 0 || !isMissing) throw error;
    const text = `ledger ${file}: it lost a part: ${error.message}. Restore the whole file from one backup`;
    throw new StartRefused(text, EXIT.config, error);
  }
  if (version !== SCHEMA_VERSION) db.pragma(`user_version = ${SCHEMA_VERSION}`);
}

function expectPragma(db: Sqlite, file: string, name: string, expected: unknown): void {
  const value = db.pragma(name, { simple: true });
  if (value !== expected) throw new Error(`${file}: PRAGMA ${name} is ${value} where it must be ${expected}`);
}

/**
 * Makes the file free of what it does not hold any more: rebuilds a file of an older version, once, and
 * empties the log. Throws where a reader keeps the log longer than SQLite's busy timeout (five seconds).
 */
export function overwriteDeleted(db: Sqlite): void {
  if (db.pragma('application_id', { simple: true }) !== OVERWRITTEN) {
    db.exec('VACUUM');
    db.pragma(`application_id = ${OVERWRITTEN}`);
  }
  const isBusy = db.pragma('wal_checkpoint(TRUNCATE)', { simple: true });
  if (isBusy !== 0) {
    throw new Error('a reader keeps the write-ahead log, which holds erased records: run the command again');
  }
}

/** A value beyond SQLite's own limits: a retry fails again. */
export function isTooBig(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'SQLITE_TOOBIG';
}
