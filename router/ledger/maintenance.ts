/**
 * Operations on a ledger by people and schedules, besides the contract of the data path: the maintenance
 * contract, for engines that support it. All of them run beside commits, in this process or in another.
 */
import type { Holder, RetentionRules } from './rules/retention.ts';
import type { DeadLetter, Erasure, ErasureTarget } from './types.ts';
import type { RecordId, Whereabouts } from './whereabouts.ts';

/** Selects dead letters: all conditions must hold; an empty filter selects all. */
export interface DeadLetterFilter {
  ids?: readonly number[];
  source?: string;
  reason?: string;
  /** Received before this wall time. */
  beforeWallMs?: number;
}

/** A dead letter without its bytes. */
export interface DeadLetterHead
  extends Omit<DeadLetter, 'bytes' | 'properties' | 'authenticatedGateway' | 'gateway'> {
  /** Ascending in the order of arrival; never reused. */
  id: number;
  sizeBytes: number;
}

export interface StoredDeadLetter extends DeadLetterHead {
  bytes: Uint8Array;
  authenticatedGateway: string | null;
  properties: Readonly<Record<string, string>>;
}

/** The result of one step of the retention. */
export interface Retained {
  /** The number of removed records. */
  records: number;
  /** More records are due: step again. */
  more: boolean;
}

/** The bytes that records take, by `storedBytes` (rules/retention.ts). */
export interface StoredBytes {
  total: number;
  /** The largest holders, the largest first; without records from before shares were counted. */
  gateways: Holder[];
}

export interface LedgerMaintenance {
  /** The newest first, at most `limit`. */
  deadLetterHeads(filter: DeadLetterFilter, limit: number): Promise<DeadLetterHead[]>;
  loadDeadLetter(id: number): Promise<StoredDeadLetter | null>;
  /** Returns the number of removed letters. The count in `totals()` stays. */
  removeDeadLetters(filter: DeadLetterFilter): Promise<number>;
  /** Drops dead letters past their bound of age at `nowWallMs`, and evidence beyond its bounds. */
  expire(nowWallMs: number): Promise<void>;
  /**
   * One bounded step: removes records that are due by the rules at `nowWallMs`, the oldest first. Their ids
   * stay known. Completed steps stand when a later step fails.
   */
  retain(rules: RetentionRules, nowWallMs: number): Promise<Retained>;
  /**
   * As of the last change; on JetStream as of the last step of the retention, and null while no rule has
   * `max_bytes`. At most `limit` gateways.
   */
  storedBytes(limit: number): Promise<StoredBytes | null>;
  /**
   * Removes every record of a device committed before the call, its versions in conflict, and the readable
   * dead letters with a record of it. Their ids stay known as erased. Resolves when all is done; completed
   * steps stand when it fails.
   */
  erase(target: ErasureTarget, actor: string): Promise<Erasure>;
  /** The newest first, at most `limit`. */
  erasures(limit: number): Promise<Erasure[]>;
  /** The sources that brought a record. Repetitions are remembered for a bounded number of envelopes. */
  where(id: RecordId): Promise<Whereabouts>;
}
