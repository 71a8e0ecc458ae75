/** The destination of a feed: one implementation for each kind. */
import type { Ledger } from '../ledger/ledger.ts';
import type { FeedPosition, LedgerRecord } from '../ledger/types.ts';

/** How a write moves the feed's position. */
export interface Move {
  from: FeedPosition;
  /** Where the feed is once the destination has the first `count` records. */
  after(count: number): FeedPosition;
}

/** Called by one feed, one batch at a time. */
export interface FeedSink {
  /**
   * Resolves with how many of `records`, from the first on and at least one, the destination has stored
   * durably. Rejects when it may have stored none: the feed then writes the same records again. A
   * {@link DeliveryError} says when.
   */
  write(records: readonly LedgerRecord[], move: Move): Promise<number>;
  /**
   * Only for a destination that keeps the feed's position itself, together with the records: that position.
   * `known` is the ledger's position, for a destination that has none or that was written from another
   * ledger.
   */
  position?(known: FeedPosition, ledger: Pick<Ledger, 'read'>): Promise<FeedPosition>;
  /** Only for such a destination: sets the position, whatever it was. */
  setPosition?(position: FeedPosition): Promise<void>;
  /**
   * Only for a destination that can be asked without a record: connects where needed and resolves when the
   * destination has answered.
   */
  check?(): Promise<void>;
  /** Releases everything; a write under way settles soon. The sink is not used again. */
  close(): Promise<void>;
}

/**
 * Whether a record may be the cause of a failed write. `certain`: the destination refused the content.
 * `suspected`: it failed while it took the records, and may do so again with the same ones. `none`: the
 * records are not the cause.
 */
export type Refusal = 'none' | 'suspected' | 'certain';

/** A failed write with the destination's wishes about further tries. */
export class DeliveryError extends Error {
  /** The shortest pause before the next try; null where the destination named none. */
  readonly retryAfterMs: number | null;
  /** The destination asked for no more records, ever. */
  readonly gone: boolean;
  readonly refusal: Refusal;
  /** How many records, from the first on, the failed write had; null for all that were given. */
  readonly records: number | null;

  constructor(message: string, options: Partial<DeliveryError> = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DeliveryError';
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.gone = options.gone ?? false;
    this.refusal = options.refusal ?? 'none';
    this.records = options.records ?? null;
  }
}
