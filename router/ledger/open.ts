/** Opens the ledger of router.yaml. */
import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Ledger } from './ledger.ts';
import type { ConflictRules, DeadLetterLimits, LedgerOptions } from './options.ts';
import type { LedgerRole } from './role.ts';
import { conflictPolicyOf } from './rules/conflict-policy.ts';
import { openLedgerThread } from './sqlite/thread.ts';

interface LedgerConfig {
  ledger: LedgerOptions;
  data_dir: string;
  dead_letters: DeadLetterLimits;
  conflicts: ConflictRules;
}

const DEAD_LETTERS_MAX = 100_000;

/**
 * Rejects when the ledger cannot be opened, with StartRefused for expected causes; the folder `data_dir` must
 * exist.
 */
export async function openLedger(
  { ledger, data_dir, dead_letters, conflicts }: LedgerConfig,
  deps: { clock: Clock; log: Logger; role: LedgerRole },
): Promise<Ledger> {
  const { max_bytes: bytesMax, max_age: ageMsMax } = dead_letters;
  const limits = { deadLetters: { rowsMax: DEAD_LETTERS_MAX, bytesMax, ageMsMax } };
  const common = { limits, conflictPolicyOf: conflictPolicyOf(conflicts), ...deps };
  switch (ledger.type) {
    case 'sqlite':
      return openLedgerThread({ file: join(data_dir, 'ledger.db'), limits, conflicts, ...deps });
    case 'postgres': {
      const { url, schema, connections_max: connectionsMax, timeout: timeoutMs } = ledger;
      const { openPostgresLedger } = await import('./postgres/engine.ts');
      return openPostgresLedger({ url, schema, connectionsMax, timeoutMs, ...common });
    }
    case 'jetstream': {
      const { timeout: timeoutMs, ...options } = ledger;
      const deadLetters = { messagesMax: DEAD_LETTERS_MAX, bytesMax, ageMsMax };
      const { openJetStreamLedger } = await import('./jetstream/engine.ts');
      return openJetStreamLedger({ ...options, timeoutMs, ...common, limits: { deadLetters } });
    }
  }
}
