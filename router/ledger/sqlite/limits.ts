/** The bounds of the SQLite ledger. */
import type { EvidenceLimits } from '../rules/shares.ts';

export interface SqliteLedgerLimits {
  /** Most decoded streams in memory. */
  streamsCached: number;
  conflicts: EvidenceLimits;
  deadLetters: EvidenceLimits;
}

const MIB = 1024 * 1024;

export const LIMITS: SqliteLedgerLimits = {
  streamsCached: 4096,
  conflicts: { rowsMax: 100_000, bytesMax: 64 * MIB },
  deadLetters: { rowsMax: 100_000, bytesMax: 64 * MIB },
};
