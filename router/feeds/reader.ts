/** What a feed reads next, and where it is once that is handed over: one implementation for each order. */
import type { Ledger } from '../ledger/ledger.ts';
import type { FeedPosition, LedgerRecord } from '../ledger/types.ts';

export interface FeedReader {
  /**
   * Up to `limit` records to hand over next; none when there is nothing for now. Asked again only after
   * {@link handed}.
   */
  next(limit: number): Promise<LedgerRecord[]>;
  /** Where the feed is once the first `count` of these are handed over. */
  after(count: number): FeedPosition;
  /** The first `count` of these are. */
  handed(count: number): void;
  /** Records looked at and held back. */
  readonly held: number;
}

export const START: FeedPosition = { offset: 0, progress: new Uint8Array() };

/** In the order of the ledger's offsets, from `position`; what another order had left over comes again. */
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
