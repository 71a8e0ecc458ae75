/**
 * The right to run a feed, for one router at a time. The ledger grants it by its own clock for a limited
 * time. The holder renews it long before it ends, so only a router that is killed or cut off loses it.
 *
 * A router that was cut off stops by its own monotonic clock before the ledger grants the lease to another.
 * Its last batch may still arrive. That repeats records and skips none, because a position moves only from
 * the value that was last seen.
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FeedPosition } from '../ledger/types.ts';

export interface FeedLeaseOptions {
  feed: string;
  /** Unique to this router. */
  holder: string;
  ledger: Ledger;
  clock: Clock;
  /** How long a lease lasts without renewal. */
  leaseMs: number;
}

export class FeedLease {
  readonly #options: FeedLeaseOptions;
  #validUntilMs = 0;
  #timer: Timer | null = null;
  #renewing: Promise<void> = Promise.resolve();

  constructor(options: FeedLeaseOptions) {
    this.#options = options;
  }

  valid(): boolean {
    return this.#options.clock.monoMs() < this.#validUntilMs;
  }

  /**
   * Takes or renews the lease; the feed's position, or null while another router has it. Rejects when the
   * ledger is away.
   */
  async claim(): Promise<FeedPosition | null> {
    const { feed, holder, ledger, clock, leaseMs } = this.#options;
    const askedMs = clock.monoMs();
    const position = await ledger.claimFeedPosition(feed, holder, leaseMs);
    this.#validUntilMs = position === null ? 0 : askedMs + leaseMs;
    if (position !== null) {
      this.#timer ??= clock.every(leaseMs / 3, () => {
        this.#renewing = this.#renew();
      });
    }
    return position;
  }

  /** Gives the lease up, so that the next router can take it at once. */
  async release(): Promise<void> {
    const { feed, holder, ledger } = this.#options;
    this.#timer?.cancel();
    this.#timer = null;
    // A renewal under way would take the lease again.
    await this.#renewing;
    if (!this.valid()) return;
    this.#validUntilMs = 0;
    await ledger.releaseFeedPosition(feed, holder);
  }

  async #renew(): Promise<void> {
    if (!this.valid()) return;
    try {
      await this.claim();
    } catch {
      // The ledger is away: the feed reports that itself, and the lease runs out.
    }
  }
}
