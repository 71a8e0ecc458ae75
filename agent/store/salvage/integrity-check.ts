/**
 * Checks whether an existing file is usable. A defect that would make the store fail at work would fail every
 * start, so it counts as damage here, and the file is salvaged (I9).
 */
import type Database from 'better-sqlite3';
import { errorText } from '../../../shared/error-text.ts';
import { sqliteErrorCode } from '../../../shared/sqlite/open.ts';
import { prepareStatements } from '../file/statements.ts';
import { Streams } from '../file/streams.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { isCount } from './salvaged-rows.ts';

/** Far above the starts and counts of a gateway's lifetime, far below the limit of SQLite's counter. */
const NUMBER_MAX = 2 ** 40;

/** The file differs from the form that this program writes. */
class DamagedFile extends Error {}

/** Checks the pages and the types of values. Throws an error that {@link isDamage} recognises. */
export function checkPages(db: Database.Database): void {
  const found = db.pragma('quick_check(1)', { simple: true });
  if (found !== 'ok') throw new DamagedFile(String(found));
}

/**
 * Checks the tables, and the contents that SQLite does not verify: counters and blobs. Throws an error that
 * {@link isDamage} recognises.
 */
export function checkContents(db: Database.Database): void {
  const counters = db.prepare<[], { seq: unknown }>("SELECT seq FROM sqlite_sequence WHERE name = 'epoch'");
  for (const { seq } of counters.iterate()) {
    if (!isCount(seq) || seq > NUMBER_MAX) throw new DamagedFile(`the epochs are counted to ${String(seq)}`);
  }
  const sql = prepareStatements(db);
  try {
    new Streams(sql, '', DEFAULT_LIMITS);
  } catch (error) {
    if (error instanceof RangeError) throw new DamagedFile(errorText(error));
    throw error;
  }
}

/**
 * SQLite's own findings, a truncated file, and SQL that does not match the tables; not the errors of a
 * failing disk.
 */
export function isDamage(error: unknown): error is Error {
  if (error instanceof DamagedFile) return true;
  return /^SQLITE_(CORRUPT|NOTADB|IOERR_SHORT_READ|ERROR$)/.test(sqliteErrorCode(error) ?? '');
}
