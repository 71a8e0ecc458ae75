/** Limits the new connections per second, in total and for each address. */
import type { Clock } from './clock.ts';
import { TokenBucket } from './token-bucket.ts';

/** Burst size: a fleet reconnects at once after a power cut. */
const BURST_SECONDS = 4;
/** Bound on remembered addresses; the least recently active is dropped (I10). */
const ADDRESSES_MAX = 10_000;

export interface ConnectLimits {
  /** Per second; 0: no limit. */
  maxConnectRate: number;
  maxConnectRatePerAddress: number;
}

export class ConnectRate {
  readonly #limits: ConnectLimits;
  readonly #clock: Clock;
  readonly #all: TokenBucket;
  readonly #byAddress = new Map<string, TokenBucket>();

  constructor(limits: ConnectLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#all = new TokenBucket(limits.maxConnectRate, BURST_SECONDS, clock.monoMs());
  }

  /** Takes a token; whether one more connection may begin now. */
  allows(address: string): boolean {
    const now = this.#clock.monoMs();
    // The address first: an address over its limit must not use up the total limit.
    if (this.#limits.maxConnectRatePerAddress > 0 && !this.#bucketOf(address, now).tryTake(now)) return false;
    return this.#limits.maxConnectRate === 0 || this.#all.tryTake(now);
  }

  #bucketOf(address: string, nowMs: number): TokenBucket {
    const bucket =
      this.#byAddress.get(address) ??
      new TokenBucket(this.#limits.maxConnectRatePerAddress, BURST_SECONDS, nowMs);
    this.#byAddress.delete(address);
    this.#byAddress.set(address, bucket);
    if (this.#byAddress.size > ADDRESSES_MAX) {
      const [quietest] = this.#byAddress.keys();
      if (quietest !== undefined) this.#byAddress.delete(quietest);
    }
    return bucket;
  }
}
