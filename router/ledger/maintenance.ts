/**
 * What people and schedules do to a ledger, beside the contract that the data path needs: the second
 * contract, for engines that have it. Everything here runs beside commits, in this process or in another.
 */
import type { RetentionRules } from './rules/retention.ts';
import type { DeadLetter, Erasure, ErasureTarget } from './types.ts';
import type { RecordId, Whereabouts } from './whereabouts.ts';

/** Which dead letters: all conditions hold; none means all. */
export interface DeadLetterFilter {
  ids?: readonly number[];
  source?: string;
  reason?: string;
  /** Received before this wall time. */
  beforeWallMs?: number;
}

/** A dead letter without its bytes. */
export interface DeadLetterHead extends Omit<DeadLetter, 'bytes' | 'properties' | 'authenticatedGateway'> {
  /** Ascending in the order they came; never given twice. */
  id: number;
  sizeBytes: number;
}

export interface StoredDeadLetter extends DeadLetterHead {
  bytes: Uint8Array;
  authenticatedGateway: string | null;
  properties: Readonly<Record<string, string>>;
}

/** What one step of the retention did. */
export interface Retained {
  /** How many records left. */
  records: number;
  /** More is to leave: step again. */
  more: boolean;
}

export interface LedgerMaintenance {
  /** The newest first, at most `limit`. */
  deadLetterHeads(filter: DeadLetterFilter, limit: number): Promise<DeadLetterHead[]>;
  loadDeadLetter(id: number): Promise<StoredDeadLetter | null>;
  /** How many it removed. The count in `totals()` stays. */
  removeDeadLetters(filter: DeadLetterFilter): Promise<number>;
  /** Drops the evidence that is older than its bound at `nowWallMs`. */
  expire(nowWallMs: number): Promise<void>;
  /**
   * One bounded step: takes records out that the rules let leave at `nowWallMs`, the oldest first. Their ids
   * stay known. What was done stays done when the next step fails.
   */
  retain(rules: RetentionRules, nowWallMs: number): Promise<Retained>;
  /**
   * Takes out every record of a device that came before, with its versions in conflict and the dead letters
   * that can be read to hold one. Their ids stay known as erased. Ends when all is done; what was done stays
   * done when it fails.
   */
  erase(target: ErasureTarget, actor: string): Promise<Erasure>;
  /** The newest first, at most `limit`. */
  erasures(limit: number): Promise<Erasure[]>;
  /** Which sources brought a record. What came again is remembered for a bounded number of envelopes. */
  where(id: RecordId): Promise<Whereabouts>;
}
