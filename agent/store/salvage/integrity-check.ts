/**
 * Whether the file that was found is fit for use. What would make the store fail at work would fail every
 * start, so it counts as damage here, and the file is salvaged (I9).
 */
import Database from 'better-sqlite3';
import { errorText } from '../../../shared/log.ts';
import { prepareStatements } from '../file/statements.ts';
import { Streams } from '../file/streams.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { isCount } from './salvaged-rows.ts';

/** Far above what a gateway starts or counts in its life, far below where SQLite's counter ends. */
const NUMBER_MAX = 2 ** 40;

/** The file is not as this program writes it. */
class DamagedFile extends Error {}

/** Pages, and kinds of values. Throws what {@link isDamage} knows. */
export function checkPages(db: Database.Database): void {
  const found = db.pragma('quick_check(1)', { simple: true });
  if (found !== 'ok') throw new DamagedFile(String(found));
}

/**
 * Tables, and what SQLite does not vouch for: counters, and what is in a blob. Throws what {@link isDamage}
 * knows.
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
 * SQLite's own findings, a file that ends too early, and SQL that the tables are not made for; not what a
 * failing disk says.
 */
export function isDamage(error: unknown): error is Error {
  if (error instanceof DamagedFile) return true;
  return (
    error instanceof Database.SqliteError &&
    /^SQLITE_(CORRUPT|NOTADB|IOERR_SHORT_READ|ERROR$)/.test(error.code)
  );
}
