/**
 * Reads the tables of a damaged file around unreadable parts. At an error, a range of keys is read from its
 * front and from its back, and the rest between is halved, the larger parts first. So the remaining attempts
 * go to the parts where most rows may still be readable.
 */
import type Database from 'better-sqlite3';
import type { SeqRange } from '../../../shared/record.ts';
import { type FileKey, openSqlite, sqliteErrorCode } from '../../../shared/sqlite/open.ts';

/** Bound on the attempts for a table; the rest counts as unreadable (I10). */
const ATTEMPTS_MAX = 4000;
/** Upper bound of ids and numbers in a file. */
export const KEY_MAX = 2 ** 40;

export class SalvageSource {
  readonly #db: Database.Database;

  /**
   * Null when not even the first page is readable. Opened read-only, so that closing does not write the log
   * into the file.
   */
  static open(file: string, key: FileKey | null = null): SalvageSource | null {
    const db = openSqlite(file, { readonly: true }, key);
    try {
      db.prepare('SELECT count(*) FROM sqlite_master').get();
      return new SalvageSource(db);
    } catch (error) {
      db.close();
      if (isUnreadable(error)) return null;
      throw error;
    }
  }

  private constructor(db: Database.Database) {
    this.#db = db;
  }

  /**
   * `sql` must return a column `key`, end with its ORDER BY key, and take `...before`, then the bounds of the
   * key. Rows come in no order.
   */
  *byKey<Row>(sql: string, before: readonly number[] = [], keyMax: number = KEY_MAX): Generator<Row> {
    const upwards = this.#prepared<Row & { key: number }>(sql);
    const downwards = this.#prepared<Row & { key: number }>(`${sql} DESC`);
    if (!upwards || !downwards) return;
    const ranges: SeqRange[] = [{ first: 0, last: keyMax }];
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
      const range = ranges.shift();
      if (!range) return;
      let { first, last } = range;
      try {
        for (const row of upwards.iterate(...before, first, last)) {
          first = Math.max(first, row.key + 1);
          yield row;
        }
        continue;
      } catch (error) {
        if (!isUnreadable(error)) throw error;
      }
      try {
        for (const row of downwards.iterate(...before, first, last)) {
          last = Math.min(last, row.key - 1);
          yield row;
        }
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        const middle = Math.floor((first + last) / 2);
        if (first < last) ranges.push({ first, last: middle }, { first: middle + 1, last });
      }
    }
  }

  /** Rows from the front as far as they are readable, then from the back; some may come twice. */
  *fromBothEnds<Row>(sql: string, ...values: number[]): Generator<Row> {
    const backwards = sql.replace(
      /ORDER BY (.*)$/,
      (_, keys: string) => `ORDER BY ${keys.split(', ').join(' DESC, ')} DESC`,
    );
    for (const direction of [sql, backwards]) {
      try {
        yield* this.#prepared<Row>(direction)?.iterate(...values) ?? [];
        return;
      } catch (error) {
        if (!isUnreadable(error)) throw error;
      }
    }
  }

  close(): void {
    this.#db.close();
  }

  /** Null when the table is missing or unreadable. */
  #prepared<Row>(sql: string): Database.Statement<number[], Row> | null {
    try {
      return this.#db.prepare<number[], Row>(sql);
    } catch (error) {
      if (isUnreadable(error)) return null;
      throw error;
    }
  }
}

/** Whether SQLite reports an error of the damaged file. */
function isUnreadable(error: unknown): boolean {
  return sqliteErrorCode(error) !== null;
}
