/**
 * Feeds dead letters through the same intake again: after an upgrade that reads a newer format, or that takes
 * more. One that is committed leaves the dead letters; one that is refused again, for the same identity too,
 * stays as it is.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { DeadLetterFilter, LedgerMaintenance } from '../ledger/maintenance.ts';
import type { DeadLetter } from '../ledger/types.ts';
import { Ingest } from './ingest.ts';

export interface RetryOutcome {
  id: number;
  outcome: 'committed' | 'refused' | 'failed';
  /** Why it was refused again. */
  reason: string | null;
}

/** Every dead letter that `filter` finds, the oldest first. Rejects when the ledger cannot be read. */
export async function* retryDeadLetters(
  ledger: Ledger,
  maintenance: LedgerMaintenance,
  filter: DeadLetterFilter,
  deps: { clock: Clock; log: Logger },
): AsyncGenerator<RetryOutcome> {
  const heads = await maintenance.deadLetterHeads(filter, Number.MAX_SAFE_INTEGER);
  let refused: string | null = null;
  const committing = {
    commit: ledger.commit.bind(ledger),
    ping: () => ledger.ping(),
    deadLetter: async ({ reason }: DeadLetter): Promise<void> => {
      refused = reason;
    },
  };
  const ingest = new Ingest({ ledger: committing, ...deps });
  for (const { id } of heads.toReversed()) {
    const letter = await maintenance.loadDeadLetter(id);
    if (!letter) continue;
    const { source, bytes, authenticatedGateway } = letter;
    refused = null;
    const settlement = await ingest.handler({ source, bytes, authenticatedGateway, deliveryCount: null });
    const outcome = settlement === 'retry' ? 'failed' : refused === null ? 'committed' : 'refused';
    if (outcome === 'committed') await maintenance.removeDeadLetters({ ids: [id] });
    yield { id, outcome, reason: refused };
  }
}
