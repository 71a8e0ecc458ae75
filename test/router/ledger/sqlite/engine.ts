import { join } from 'node:path';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
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
};
