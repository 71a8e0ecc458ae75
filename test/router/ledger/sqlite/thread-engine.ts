/** The SQLite engine as the router has it, in its thread, for the ledger's contract: a place is a file. */
import { join } from 'node:path';
import { CONFLICT_POLICIES, KEEP_FIRST } from '../../../../router/ledger/rules/conflict-policy.ts';
import { openLedgerThread } from '../../../../router/ledger/sqlite/thread.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { createLogger } from '../../../../shared/log.ts';
import type { LedgerEngine } from '../engine.ts';
import { LIMITS } from '../limits.ts';

export const engine: LedgerEngine = {
  name: 'sqlite in its thread',
  open: (place, { conflictPolicyOf: policyOf = KEEP_FIRST } = {}) =>
    openLedgerThread({
      file: place,
      limits: LIMITS,
      // A function does not pass between threads; in the contract a stream is named by its policy.
      conflicts: CONFLICT_POLICIES.map((streams) => ({ streams, policy: policyOf(streams) })),
      clock: systemClock,
      log: createLogger({ level: 'silent', levels: {} }),
    }),
  place: (folder, name) => join(folder, `${name}.db`),
};
