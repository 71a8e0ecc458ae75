/**
 * Which key a SQLite file has, so that a missing or another key is told from a damaged file: to SQLite, both
 * are no database. `<file>.key-id` names the key. It is written before the file is, and is no secret.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { EXIT } from '../exit-codes.ts';
import { StartRefused } from '../start-refused.ts';
import { encryptSqlite, type FileKey, openSqlite, sqliteErrorCode } from './open.ts';

/** Bytes with which each SQLite file in clear begins (sqlite.org, fileformat.html, 1.3.1). */
const MAGIC = Buffer.from('SQLite format 3\0');

/**
 * Call it before the file is opened; it blocks, for as long as the file is copied. With a key, a file in
 * clear is encrypted where `mayChange` says so: a copy of it is, and takes its place. A kill at any moment
 * leaves the one or the other, and the next call completes it. Throws StartRefused when the file has a key
 * and none is given, or another one. `option` is where the key is configured.
 */
export function prepareEncryption(
  file: string,
  key: FileKey | null,
  { option, mayChange }: { option: string; mayChange: boolean },
): void {
  const noted = existsSync(noteOf(file)) ? readFileSync(noteOf(file), 'utf8').trim() : null;
  if (key === null) {
    if (noted !== null)
      throw refused(`${file} is encrypted with the key ${noted}: set ${option} to that key`);
    return;
  }
  const id = fileKeyId(key);
  if (noted !== null && noted !== id)
    throw refused(`${file} is encrypted with the key ${noted}, and ${option} is the key ${id}`);
  const isInClear = existsSync(file) && headOf(file).equals(MAGIC);
  if (!mayChange) {
    if (isInClear)
      throw refused(`${file} is not encrypted yet: start the program that owns it with ${option}`);
    return;
  }
  if (noted === null) {
    // Without its note, as from a backup. An empty file has no key yet.
    if (existsSync(file) && !isInClear && headOf(file).length > 0) expectReadable(file, key, option);
    writeFileSync(noteOf(file), `${id}\n`, { mode: 0o600, flush: true });
    sync(dirname(file));
  }
  // A journal of a copy that was cut off would be played back into the next one.
  for (const part of ['', '-journal', '-wal', '-shm']) rmSync(copyOf(file) + part, { force: true });
  if (isInClear) encrypt(file, key);
}

/** The first 8 bytes, in hex, of SHA-256 of a fixed text and the key. */
function fileKeyId(key: FileKey): string {
  return createHash('sha256').update('headgate file key\0').update(key).digest('hex').slice(0, 16);
}

function encrypt(file: string, key: FileKey): void {
  const db = openSqlite(file, { fileMustExist: true }, null);
  try {
    // The content of the log comes into the file.
    db.pragma('journal_mode = DELETE');
  } catch (error) {
    if (sqliteErrorCode(error)?.startsWith('SQLITE_BUSY') === true)
      throw new StartRefused(`another process has ${file} open`, EXIT.failed, error);
    throw error;
  } finally {
    // Open, it would itself be in the way of the next try.
    db.close();
  }
  copyFileSync(file, copyOf(file));
  encryptSqlite(copyOf(file), key);
  sync(copyOf(file));
  renameSync(copyOf(file), file);
  sync(dirname(file));
}

function expectReadable(file: string, key: FileKey, option: string): void {
  const db = openSqlite(file, { fileMustExist: true, readonly: true }, key);
  try {
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
  } catch (error) {
    if (sqliteErrorCode(error) === null) throw error;
    throw refused(`${file} is no SQLite file in clear, and ${option} does not open it`);
  } finally {
    db.close();
  }
}

/** Shorter where the file is. */
function headOf(file: string): Buffer {
  const handle = openSync(file, 'r');
  try {
    const head = Buffer.alloc(MAGIC.length);
    return head.subarray(0, readSync(handle, head));
  } finally {
    closeSync(handle);
  }
}

/** fsync(2) of a file or a folder. */
function sync(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function noteOf(file: string): string {
  return `${file}.key-id`;
}

function copyOf(file: string): string {
  return `${file}.encrypting`;
}

function refused(message: string): StartRefused {
  return new StartRefused(message, EXIT.config);
}
