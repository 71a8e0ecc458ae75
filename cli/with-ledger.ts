/** Opens the ledger that router.yaml names, beside the router that may be running on it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RouterConfig } from '../router/config.ts';
import type { Ledger } from '../router/ledger/ledger.ts';
import { openLedger } from '../router/ledger/open.ts';
import { systemClock } from '../shared/clock.ts';
import { createLogger } from '../shared/log.ts';

/** Null when there is no ledger file: looking must not make one. Rejects when the ledger cannot be opened. */
export async function withLedger<T>(
  config: RouterConfig,
  use: (ledger: Ledger) => Promise<T>,
): Promise<T | null> {
  if (config.ledger.type === 'sqlite' && !existsSync(join(config.data_dir, 'ledger.db'))) return null;
  const log = createLogger(config.log, process.stderr);
  const ledger = await openLedger(config, { clock: systemClock, log });
  try {
    return await use(ledger);
  } finally {
    await ledger.close();
  }
}
