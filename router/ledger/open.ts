/** Opens the ledger of router.yaml. */
import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import type { Ledger } from './ledger.ts';
import type { ConflictRules, DeadLetterLimits, LedgerOptions } from './options.ts';
import { forgetLedger, LedgerMemory } from './remembered.ts';
import type { LedgerRole } from './role.ts';
import { conflictPolicyOf } from './rules/conflict-policy.ts';
import { type EvidenceQuotas, type OnDropped, sharesOf } from './rules/shares.ts';
import { openLedgerThread } from './sqlite/thread.ts';

export interface LedgerConfig {
  ledger: LedgerOptions;
  data_dir: string;
  dead_letters: DeadLetterLimits;
  conflicts: ConflictRules;
  /** A tool adds no evidence, and has none. */
  quotas?: EvidenceQuotas;
}

/** Most dead letters, and most versions in conflict. */
const EVIDENCE_MAX = 100_000;
const CONFLICT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Rejects when the ledger cannot be opened, with StartRefused for expected causes; the folder `data_dir` must
 * exist.
 */
export async function openLedger(
  { ledger, data_dir, dead_letters, conflicts, quotas }: LedgerConfig,
  deps: { clock: Clock; log: Logger; role: LedgerRole; onDropped?: OnDropped },
): Promise<Ledger> {
  const { max_bytes: bytesMax, max_age: ageMsMax } = dead_letters;
  const shares = sharesOf(quotas);
  const letters = { bytesMax, ageMsMax, shares: shares.deadLetters };
  const versions = { bytesMax: CONFLICT_BYTES_MAX, shares: shares.conflicts };
  const limits = {
    deadLetters: { ...letters, rowsMax: EVIDENCE_MAX },
    conflicts: { ...versions, rowsMax: EVIDENCE_MAX },
  };
  const common = { limits, conflictPolicyOf: conflictPolicyOf(conflicts), ...deps };
  const name = rememberedName(ledger);
  const memory =
    name === null || deps.role === 'tool' ? undefined : new LedgerMemory(data_dir, name, new SparseLog(deps));
  switch (ledger.type) {
    case 'sqlite':
      return openLedgerThread({
        file: join(data_dir, 'ledger.db'),
        key: ledger.encryption_key ?? null,
        limits,
        conflicts,
        ...deps,
      });
    case 'postgres': {
      const { url, schema, connections_max: connectionsMax, timeout: timeoutMs } = ledger;
      const { openPostgresLedger } = await import('./postgres/engine.ts');
      return openPostgresLedger({ url, schema, connectionsMax, timeoutMs, memory, ...common });
    }
    case 'jetstream': {
      const { timeout: timeoutMs, ...options } = ledger;
      const messages = {
        deadLetters: { ...letters, messagesMax: EVIDENCE_MAX },
        conflicts: { ...versions, messagesMax: EVIDENCE_MAX },
      };
      const { openJetStreamLedger } = await import('./jetstream/engine.ts');
      return openJetStreamLedger({ ...options, timeoutMs, memory, ...common, limits: messages });
    }
  }
}

/** The changes of `headgate ledger accept`. */
interface Accepted {
  /** Whether `data_dir` knew of a ledger: not any more. */
  wasKnown: boolean;
  /** A line for each part of the ledger that is taken as it is. */
  parts: string[];
}

/**
 * Lets the router go on with the ledger as it is now, though another was here, or a part of it is gone or
 * older. Throws StartRefused while a router has a SQLite ledger open, for a part that no router can go on
 * without, and when the server does not answer.
 */
export async function acceptLedger(
  { ledger, data_dir }: Pick<LedgerConfig, 'ledger' | 'data_dir'>,
  deps: { clock: Clock; log: Logger },
): Promise<Accepted> {
  const name = rememberedName(ledger);
  if (name === null) {
    const key = ledger.type === 'sqlite' ? (ledger.encryption_key ?? null) : null;
    const { forgetSqliteLedger } = await import('./sqlite/router-lock.ts');
    const { acceptTables } = await import('./sqlite/accept.ts');
    const file = join(data_dir, 'ledger.db');
    return forgetSqliteLedger(file, () => acceptTables(file, key));
  }
  const parts = await acceptParts(ledger, { clock: deps.clock, log: new SparseLog(deps) });
  return { wasKnown: forgetLedger(data_dir, name), parts };
}

async function acceptParts(ledger: LedgerOptions, deps: { clock: Clock; log: SparseLog }): Promise<string[]> {
  switch (ledger.type) {
    case 'postgres': {
      const { url, schema, connections_max: connectionsMax, timeout: timeoutMs } = ledger;
      const { acceptTables } = await import('./postgres/accept.ts');
      return acceptTables({ url, schema, connectionsMax, timeoutMs }, deps);
    }
    case 'jetstream': {
      const { timeout: timeoutMs, ...options } = ledger;
      const { acceptStreams } = await import('./jetstream/engine.ts');
      return acceptStreams({ ...options, timeoutMs }, deps);
    }
    case 'sqlite':
      return [];
  }
}

/** Null for SQLite, which has a note of its own. */
function rememberedName(ledger: LedgerOptions): string | null {
  switch (ledger.type) {
    case 'sqlite':
      return null;
    case 'postgres':
      return `postgres ${ledger.schema}`;
    case 'jetstream':
      return `jetstream ${ledger.name}`;
  }
}
