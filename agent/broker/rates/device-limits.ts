/**
 * Limits the connections of one device, and of one address before they have logged in. Anonymous clients are
 * limited by their address alone.
 */
import type { Clock } from '../../../shared/clock.ts';
import { TokenBucket } from '../../../shared/token-bucket.ts';

const BURST_SECONDS = 10;
/** Bound on the devices whose connect rate is known; the least recently connected is dropped (I10). */
const DEVICES_MAX = 10_000;

export interface DeviceBounds {
  /** Connections of one device at a time, over all its client ids. */
  maxConnectionsPerDevice: number;
  /** Logins of one device in a second; 0: no limit. */
  maxConnectRatePerDevice: number;
  /** Connections from one address that have not logged in. */
  maxPendingPerAddress: number;
}

export class DeviceLimits {
  readonly #bounds: DeviceBounds;
  readonly #clock: Clock;
  readonly #pending = new Counts();
  readonly #connected = new Counts();
  readonly #rates = new Map<string, TokenBucket>();

  constructor(bounds: DeviceBounds, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  /**
   * A connection has begun. Null when the address has too many that have not logged in; otherwise call the
   * result when the connection has logged in or ended: the first call counts.
   */
  begin(address: string): (() => void) | null {
    if (this.#pending.of(address) >= this.#bounds.maxPendingPerAddress) return null;
    return this.#pending.add(address);
  }

  /**
   * The device has logged in. A reason when it may not connect; otherwise call the result when the connection
   * has ended.
   */
  connect(device: string): (() => void) | 'device-limit' | 'connect-rate' {
    if (this.#connected.of(device) >= this.#bounds.maxConnectionsPerDevice) return 'device-limit';
    if (!this.#isWithinRate(device)) return 'connect-rate';
    return this.#connected.add(device);
  }

  #isWithinRate(device: string): boolean {
    const { maxConnectRatePerDevice: perSecond } = this.#bounds;
    if (perSecond === 0) return true;
    const now = this.#clock.monoMs();
    const bucket = this.#rates.get(device) ?? new TokenBucket(perSecond, BURST_SECONDS, now);
    this.#rates.delete(device);
    this.#rates.set(device, bucket);
    const [oldest] = this.#rates.keys();
    if (this.#rates.size > DEVICES_MAX && oldest !== undefined) this.#rates.delete(oldest);
    return bucket.tryTake(now);
  }
}

/** Counts by name; a name without a count takes no memory. */
class Counts {
  readonly #counts = new Map<string, number>();

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** The first call of the result takes it off again. */
  add(name: string): () => void {
    this.#counts.set(name, this.of(name) + 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const left = this.of(name) - 1;
      if (left > 0) this.#counts.set(name, left);
      else this.#counts.delete(name);
    };
  }
}
