/** Opens the ledger that router.yaml names for one command, beside the router that may be running on it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RouterConfig } from '../router/config.ts';
import type { Ledger } from '../router/ledger/ledger.ts';
import { openLedger } from '../router/ledger/open.ts';
import type { LedgerUpkeep } from '../router/ledger/upkeep.ts';
import { systemClock } from '../shared/clock.ts';
import { EXIT } from '../shared/exit-codes.ts';
import { createLogger, type Logger } from '../shared/log.ts';
import { fail } from './output.ts';

/** Runs `work`; fails when there is no ledger file, for looking must not make one. Rejects when it cannot be opened. */
export async function withLedger(
  config: RouterConfig,
  work: (ledger: Ledger, log: Logger) => Promise<number>,
): Promise<number> {
  if (config.ledger.type === 'sqlite' && !existsSync(join(config.data_dir, 'ledger.db'))) {
    return fail(`there is no ledger in ${config.data_dir}`, EXIT.failed);
  }
  const log = createLogger(config.log, process.stderr);
  const ledger = await openLedger(config, { clock: systemClock, log });
  try {
    return await work(ledger, log);
  } finally {
    await ledger.close();
  }
}

/** For what only the second contract does. */
export function withUpkeep(
  config: RouterConfig,
  work: (upkeep: LedgerUpkeep, ledger: Ledger, log: Logger) => Promise<number>,
): Promise<number> {
  return withLedger(config, async (ledger, log) => {
    if (!ledger.upkeep)
      return fail(`a ledger of type ${config.ledger.type} has no such command`, EXIT.failed);
    return work(ledger.upkeep, ledger, log);
  });
}
