import { join } from 'node:path';
import Database from 'better-sqlite3';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import { STEPS } from '../../../../router/ledger/sqlite/tables.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { createLogger } from '../../../../shared/log.ts';
import type { LedgerEngine } from '../engine.ts';
import { LIMITS } from '../limits.ts';

export const engine: LedgerEngine = {
  name: 'sqlite',
  open: (place, options) =>
    openSqliteLedger({
      file: place,
      limits: LIMITS,
      ...options,
      clock: systemClock,
      log: createLogger({ level: 'silent', levels: {} }),
    }),
  place: (folder, name) => join(folder, `${name}.db`),
  async withoutShares(place) {
    const db = new Database(place);
    db.exec(`DROP TABLE share; DROP INDEX arrival_share; ALTER TABLE arrival DROP COLUMN bytes;
      ALTER TABLE volume DROP COLUMN shared`);
    db.pragma(`user_version = ${1 + STEPS.findIndex((step) => step.includes('TABLE share'))}`);
    db.close();
  },
};
