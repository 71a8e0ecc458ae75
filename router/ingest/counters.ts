/** Counters of a source's messages by their outcome. */
import { noRepeats } from '../ledger/rules/repeat-cause.ts';
import type { RepeatCause } from '../ledger/types.ts';
import type { Unverified } from './signatures.ts';

export interface SourceCounters {
  envelopes: number;
  records: number;
  duplicates: number;
  /** The duplicates by cause: where to look when there are many. */
  duplicateCauses: Record<RepeatCause, number>;
  conflicts: number;
  gaps: number;
  /** Envelopes that were sealed, and opened. */
  sealed: number;
  /** Envelopes taken without a verified signature, by cause. */
  unverified: Record<Unverified, number>;
  deadLetters: number;
  deadLetterReasons: Record<string, number>;
  /** Messages left for redelivery: the ledger failed, or too many bytes waited for it. */
  retries: number;
}

export function noCounts(): SourceCounters {
  return {
    envelopes: 0,
    records: 0,
    duplicates: 0,
    duplicateCauses: noRepeats(),
    conflicts: 0,
    gaps: 0,
    sealed: 0,
    unverified: { unsigned: 0, 'unknown-key': 0 },
    deadLetters: 0,
    deadLetterReasons: {},
    retries: 0,
  };
}
