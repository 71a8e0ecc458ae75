/**
 * The right to run a feed, for one router at a time. The ledger keeps it by its own clock and gives it for a
 * while; it is asked for again long before it ends, so that only a router that is killed or cut off loses it,
 * and then it passes on.
 *
 * A router that was cut off stops by its own monotonic clock no later than the ledger gives the lease away.
 * What it had in hand may still arrive: a repeat, never a skip, because a cursor is moved only from where it
 * was last seen.
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FeedPosition } from '../ledger/types.ts';

export interface FeedLeaseOptions {
  feed: string;
  /** Names this router among all. */
  holder: string;
  ledger: Ledger;
  clock: Clock;
  /** How long a lease holds without being renewed. */
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
   * Takes or renews it; the feed's position, or null while another router has it. Rejects when the ledger is
   * away.
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

  /** Lets the next router have it at once. */
  async release(): Promise<void> {
    const { feed, holder, ledger } = this.#options;
    this.#timer?.cancel();
    this.#timer = null;
    // A renewal under way would take it again behind our back.
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
      // The ledger is away, which the feed finds out and tells; the lease ends by its time.
    }
  }
}
