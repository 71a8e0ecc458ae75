/** `--import` of the counter-proof: the buffer's connection is set to NORMAL after agent/store verified that it is FULL. */
import Database from 'better-sqlite3';

const prepare = Database.prototype.prepare;
Object.defineProperty(Database.prototype, 'prepare', {
  value(this: Database.Database, sql: string) {
    // The first row that agent/store inserts comes after it read the setting back.
    if (sql.startsWith('INSERT') && !this.inTransaction) this.pragma('synchronous = NORMAL');
    return prepare.call(this, sql);
  },
});
