/** Opens the ledger of router.yaml for one command, beside a running router. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { LedgerToolConfig } from '../router/config.ts';
import type { Ledger } from '../router/ledger/ledger.ts';
import type { LedgerMaintenance } from '../router/ledger/maintenance.ts';
import { openLedger } from '../router/ledger/open.ts';
import { systemClock } from '../shared/clock.ts';
import { EXIT, type ExitCode } from '../shared/exit-codes.ts';
import { createLogger, type Logger } from '../shared/log.ts';
import { becomeOwnerByPath } from './folder-owner.ts';
import { fail } from './output.ts';
import { terminal } from './terminal.ts';

/**
 * Null when there is no ledger file: a read must not create one. Rejects when the ledger cannot be opened.
 */
export async function withLedger<T>(
  config: LedgerToolConfig,
  use: (ledger: Ledger, log: Logger) => Promise<T>,
): Promise<T | null> {
  if (config.ledger.type === 'sqlite') becomeOwnerByPath(config.data_dir);
  const file = join(config.data_dir, 'ledger.db');
  // A ledger that was here and is gone is told when it is opened.
  if (config.ledger.type === 'sqlite' && !existsSync(file) && !existsSync(`${file}.lock`)) return null;
  const log = createLogger(config.log, terminal().stderr);
  const ledger = await openLedger(config, { clock: systemClock, log, role: 'tool' });
  try {
    return await use(ledger, log);
  } finally {
    await ledger.close();
  }
}

/** The ledger's engine and place, for a line of progress; a place holds no secret. */
export function ledgerText({ ledger, data_dir }: Pick<LedgerToolConfig, 'ledger' | 'data_dir'>): string {
  switch (ledger.type) {
    case 'sqlite':
      return `the ledger in ${data_dir}`;
    case 'postgres':
      return `the PostgreSQL ledger in schema ${ledger.schema}`;
    case 'jetstream':
      return `the JetStream ledger ${ledger.name}`;
  }
}

/** Runs `work` and returns its exit code; fails when there is no ledger. */
export async function withMaintenance(
  config: LedgerToolConfig,
  work: (maintenance: LedgerMaintenance, ledger: Ledger, log: Logger) => Promise<number>,
): Promise<number> {
  const code = await withLedger(config, (ledger, log) => work(ledger.maintenance, ledger, log));
  return code ?? noLedger(config);
}

export function noLedger({ data_dir }: Pick<LedgerToolConfig, 'data_dir'>): ExitCode {
  return fail(`there is no ledger in ${data_dir}`, EXIT.failed);
}
