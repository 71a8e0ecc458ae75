/** Where a feed takes its records to: one implementation for each kind of destination. */
import type { Ledger } from '../ledger/ledger.ts';
import type { FeedPosition, LedgerRecord } from '../ledger/types.ts';

/** What a write does to the feed's position. */
export interface Move {
  from: FeedPosition;
  /** Where the feed is once the destination has the first `count` records. */
  after(count: number): FeedPosition;
}

/** Called by one feed, one batch at a time. */
export interface FeedSink {
  /**
   * Resolves with how many of `records`, from the first on and at least one, the destination has durably;
   * rejects when it may have none of them: the same records come again. A {@link DeliveryError} says how.
   */
  write(records: readonly LedgerRecord[], move: Move): Promise<number>;
  /**
   * Of a destination that keeps the feed's position itself, together with the records: where it is in
   * `ledger`. `known` is what the ledger says, for a destination that was never written to, or from another
   * ledger.
   */
  position?(known: FeedPosition, ledger: Pick<Ledger, 'read'>): Promise<FeedPosition>;
  /** Of such a destination: sets it, wherever it was. */
  setPosition?(position: FeedPosition): Promise<void>;
  /** Lets go of everything; a write under way settles soon. The sink is not used again. */
  close(): Promise<void>;
}

/** A failed write whose destination said more than that it failed. */
export class DeliveryError extends Error {
  /** Not before this many milliseconds; null where the destination named no time. */
  readonly retryAfterMs: number | null;
  /** The destination wants no more records, ever. */
  readonly gone: boolean;

  constructor(message: string, { retryAfterMs = null, gone = false }: Partial<DeliveryError> = {}) {
    super(message);
    this.name = 'DeliveryError';
    this.retryAfterMs = retryAfterMs;
    this.gone = gone;
  }
}
