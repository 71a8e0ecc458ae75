/**
 * The gateway whose records a buffer holds. Ids name the gateway of the configuration, so another gateway's
 * records would be delivered as this one's: a buffer that was put into the wrong folder, or a gateway that
 * got another name, is refused while anything waits in it.
 */
import type Database from 'better-sqlite3';
import { StoreError } from '../types.ts';

export const OWNER =
  'CREATE TABLE owner (id INTEGER PRIMARY KEY CHECK (id = 1), gateway TEXT NOT NULL) STRICT';

/**
 * Makes the buffer the gateway's, where nothing waits in it. Returns the gateway that had it before, null
 * when it is the same or none. Throws StoreError `foreign`. Call it before an epoch begins.
 */
export function own(db: Database.Database, gateway: string): string | null {
  const before = db.prepare<[], string>('SELECT gateway FROM owner').pluck().get() ?? null;
  if (before === gateway) return null;
  if (before !== null) {
    const waits = db.prepare<[], number>('SELECT (SELECT count(*) FROM chunk) + (SELECT count(*) FROM gap)');
    if (waits.pluck().get() !== 0) {
      throw new StoreError(
        'foreign',
        `the buffer ${db.name} holds records of gateway ${before}, and this agent is gateway ${gateway}, under which they would arrive: put this gateway's buffer back, run an agent as ${before} until it is empty, or move it away`,
      );
    }
    // Their ends belong to the other gateway too.
    db.exec('DELETE FROM accepted; DELETE FROM stream; DELETE FROM epoch');
  }
  db.prepare('INSERT OR REPLACE INTO owner VALUES (1, ?)').run(gateway);
  return before;
}
