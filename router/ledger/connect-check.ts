/** `config check --connect` of the ledger, beside a running router: nothing is made, migrated or locked. */
import { constants, existsSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ConnectCheck, type ConnectDeps, PhaseFailure } from '../../shared/connect-check/phases.ts';
import { createLogger, errorText } from '../../shared/log.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import { type LedgerConfig, openLedger } from './open.ts';

/** A large file takes its time to open. */
const OPEN_MS = 30_000;

export async function ledgerConnectCheck(
  config: LedgerConfig,
  { clock }: ConnectDeps,
): Promise<ConnectCheck> {
  const { ledger } = config;
  const log = createLogger({ level: 'silent', levels: {} });
  switch (ledger.type) {
    case 'sqlite': {
      const file = join(config.data_dir, 'ledger.db');
      const run = async (): Promise<string> => {
        if (!existsSync(file)) return mayMake(config.data_dir);
        await access(file, constants.R_OK | constants.W_OK).catch(refused);
        const opened = await openLedger(config, { clock, log, role: 'tool' }).catch(refused);
        const { records } = await opened.totals();
        await opened.close();
        return `ledger with ${records} records`;
      };
      return {
        phases: [{ name: 'open', option: '', run, limitMs: OPEN_MS }],
        close: () => Promise.resolve(),
      };
    }
    case 'postgres': {
      const { postgresLedgerConnectCheck } = await import('./postgres/connect-check.ts');
      return postgresLedgerConnectCheck(ledger, clock);
    }
    case 'jetstream': {
      const { jetStreamConnectCheck } = await import('./jetstream/connect-check.ts');
      const { timeout: timeoutMs, ...options } = ledger;
      return jetStreamConnectCheck({ ...options, timeoutMs }, { clock, log: new SparseLog({ clock, log }) });
    }
  }
}

/** The nearest folder that is there; the router makes those below. */
async function mayMake(dataDir: string): Promise<string> {
  let folder = dataDir;
  while (!existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder);
  await access(folder, constants.W_OK | constants.X_OK).catch(refused);
  return 'no ledger yet: the router will make it';
}

function refused(error: unknown): never {
  const fix = 'let the user of the router read and write data_dir';
  throw new PhaseFailure(errorText(error), { fix });
}
