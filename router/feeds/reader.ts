/**
 * The next records of a feed, and its position once they are delivered: one implementation for each order.
 */
import type { Ledger } from '../ledger/ledger.ts';
import type { FeedPosition, LedgerRecord } from '../ledger/types.ts';

export interface FeedReader {
  /**
   * Up to `limit` records to deliver next; none when there is nothing for now. Called again only after
   * {@link handed}.
   */
  next(limit: number): Promise<LedgerRecord[]>;
  /** The feed's position once the first `count` of these are delivered. */
  after(count: number): FeedPosition;
  /** The first `count` of these are delivered. */
  handed(count: number): void;
  /** Records that were read and are held back. */
  readonly held: number;
}

export const START: FeedPosition = { offset: 0, progress: new Uint8Array() };

/**
 * The order of the ledger's offsets, from `position`; records that another order had delivered ahead come
 * again.
 */
export class OffsetReader implements FeedReader {
  readonly held = 0;
  readonly #ledger: Pick<Ledger, 'read'>;
  #offset: number;
  #page: readonly LedgerRecord[] = [];

  constructor(ledger: Pick<Ledger, 'read'>, { offset }: FeedPosition) {
    this.#ledger = ledger;
    this.#offset = offset;
  }

  async next(limit: number): Promise<LedgerRecord[]> {
    const page = await this.#ledger.read(this.#offset, limit);
    this.#page = page;
    return page;
  }

  after(count: number): FeedPosition {
    return { ...START, offset: this.#page[count - 1]?.offset ?? this.#offset };
  }

  handed(count: number): void {
    this.#offset = this.after(count).offset;
    this.#page = this.#page.slice(count);
  }
}
