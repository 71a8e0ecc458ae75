/** `--import` of the counter-proof: the buffer's connection is set to NORMAL after agent/store verified that it is FULL. */
import Database from 'better-sqlite3';

const prepare = Database.prototype.prepare;
Object.defineProperty(Database.prototype, 'prepare', {
  value(this: Database.Database, sql: string) {
    this.pragma('synchronous = NORMAL');
    return prepare.call(this, sql);
  },
});
