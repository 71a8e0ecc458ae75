/**
 * Reads the tables of a damaged file around what cannot be read. Where SQLite stumbles, a range of keys is
 * read from its front and from its back, and what is left between is halved, the larger parts first: so the
 * attempts that are left when much of a table is lost go to where most of it may still be.
 */
import Database from 'better-sqlite3';
import type { SeqRange } from '../../../shared/record.ts';

/** Halving a table ends after so many, and what is left between counts as not readable (I10). */
const ATTEMPTS_MAX = 4000;
/** No id and no number in a file is above. */
export const KEY_MAX = 2 ** 40;

export class SalvageSource {
  readonly #db: Database.Database;

  /**
   * Null when not even the first page can be read. Opened for reading only, so that closing does not write
   * the log into it.
   */
  static open(file: string): SalvageSource | null {
    const db = new Database(file, { readonly: true });
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
   * `sql` gives `key`, ends with the key it is ordered by, and takes `...before`, then the bounds of the key.
   * Rows in no order.
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

  /** Rows from the front as far as they can be read, then from the back; some may come twice. */
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

  /** Null when the table is not there, as far as can be read. */
  #prepared<Row>(sql: string): Database.Statement<number[], Row> | null {
    try {
      return this.#db.prepare<number[], Row>(sql);
    } catch (error) {
      if (isUnreadable(error)) return null;
      throw error;
    }
  }
}

/** Anything that SQLite says of the damaged file. */
function isUnreadable(error: unknown): boolean {
  return error instanceof Database.SqliteError;
}
