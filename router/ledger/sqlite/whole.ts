/** Checks that the tables of an open ledger still belong together, after each write of another program. */
import type { Statement } from 'better-sqlite3';
import { LedgerLost } from '../types.ts';
import { faultOf } from './marks.ts';
import type { Sqlite } from './schema.ts';

export class LedgerTables {
  readonly #db: Sqlite;
  readonly #dataVersion: Statement<[], number>;
  #checked: number | undefined;

  constructor(db: Sqlite) {
    this.#db = db;
    this.#dataVersion = db.prepare<[], number>('PRAGMA data_version').pluck();
  }

  /** Throws LedgerLost where a table is gone, or another one in its place. Cheap while nobody else wrote. */
  check(): void {
    const dataVersion = this.#dataVersion.get();
    if (dataVersion === this.#checked) return;
    const fault = faultOf(this.#db);
    if (fault !== null) throw new LedgerLost(`ledger ${this.#db.name}: ${fault.problem}`);
    this.#checked = dataVersion;
  }
}
