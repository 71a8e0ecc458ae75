/** The log lines about a completed commit. */
import type { SparseLog } from '../../shared/sparse-log.ts';
import { rangesOf } from './rules/outcome.ts';
import type { Settled } from './rules/repeated.ts';
import type { Absorption } from './rules/rules.ts';
import type { CommitResult, LedgerEntry } from './types.ts';

/** Most ranges listed in a line. */
const RANGES_TOLD_MAX = 10;

export interface CommittedEntry {
  entry: LedgerEntry;
  absorption: Absorption;
  settled: Pick<Settled, 'disputed'>;
  result: CommitResult;
}

/**
 * Logs conflicts (I6), those of a verified and an unverified version, records above the end of their epoch,
 * and a second end that differs from the first.
 */
export function logCommit(log: SparseLog, { entry, absorption, settled, result }: CommittedEntry): void {
  const { envelope, source, verified } = entry;
  const { gateway, epoch, stream, sealedAt } = envelope;
  const where = { gateway, epoch, stream, source };
  if (result.conflict > 0) {
    const ranges = rangesOf(result, 'conflict').slice(0, RANGES_TOLD_MAX);
    log.warn('ledger.conflict', { ...where, records: result.conflict, ranges });
  }
  if (settled.disputed > 0) {
    const came = verified ? 'verified' : 'unverified';
    log.warn('ledger.unverified_differs', { ...where, records: settled.disputed, came });
  }
  if (absorption.aboveSeal > 0) log.warn('ledger.above_seal', { ...where, records: absorption.aboveSeal });
  if (absorption.resealed) log.warn('ledger.resealed', { ...where, sealedAt });
}
