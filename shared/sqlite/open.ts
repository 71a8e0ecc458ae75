/**
 * Opens SQLite files, in clear or encrypted as a whole: with SQLite3 Multiple Ciphers, in the form of
 * better-sqlite3 (docs/decisions/0021-encrypted-files.md). Each page, also of the write-ahead log, is
 * encrypted with ChaCha20 and authenticated with Poly1305.
 */
import { createRequire } from 'node:module';
import Database from 'better-sqlite3';
import { errorText } from '../error-text.ts';
import { EXIT } from '../exit-codes.ts';
import { StartRefused } from '../start-refused.ts';

export type Sqlite = Database.Database;

/** The 32 bytes with which a file is encrypted. */
export type FileKey = Uint8Array;

/** An optional package: most installations do without, and it is as large as better-sqlite3. */
const CIPHERS = 'better-sqlite3-multiple-ciphers';

/**
 * Opens `file`; `key` is null for a file in clear. A wrong key shows at the first read, as SQLITE_NOTADB.
 * Throws StartRefused when the package of the ciphers is not installed.
 */
export function openSqlite(file: string, options: Database.Options, key: FileKey | null): Sqlite {
  if (key === null) return new Database(file, options);
  const db = new (ciphers())(file, options);
  setKey(db, 'key', key);
  return db;
}

/** Encrypts a file in clear, which nothing else has open. It has no write-ahead log afterwards. */
export function encryptSqlite(file: string, key: FileKey): void {
  const db = new (ciphers())(file, { fileMustExist: true });
  try {
    // The ciphers cannot change the pages of a log.
    db.pragma('journal_mode = DELETE');
    setKey(db, 'rekey', key);
  } finally {
    db.close();
  }
}

/** The error of SQLite, from either package; null when it is none. */
export function sqliteErrorCode(error: unknown): string | null {
  if (!(error instanceof Error) || error.name !== 'SqliteError' || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** `raw:` is for a key that is no password: it is not stretched (SQLite3 Multiple Ciphers, chacha20). */
function setKey(db: Sqlite, pragma: 'key' | 'rekey', key: FileKey): void {
  db.pragma("cipher = 'chacha20'");
  db.pragma(`${pragma} = 'raw:${Buffer.from(key).toString('hex')}'`);
}

function ciphers(): typeof Database {
  try {
    return createRequire(import.meta.url)(CIPHERS);
  } catch (error) {
    throw new StartRefused(
      `encryption_key needs the package ${CIPHERS}: npm install it beside headgate, in the version that headgate's package.json names (${errorText(error)})`,
      EXIT.config,
    );
  }
}
