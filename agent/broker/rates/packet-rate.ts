/**
 * Limits the packets of one client other than PUBLISH, which has limits of its own: SUBSCRIBE, UNSUBSCRIBE,
 * PINGREQ and acknowledgements. Over the rate the broker does not read from the client, so TCP slows it down
 * and nothing is lost. A filter of SUBSCRIBE or UNSUBSCRIBE costs ten packets: it is looked up, and for a
 * persistent session written to the disk.
 */
import type { Clock } from '../../../shared/clock.ts';
import { TokenBucket } from '../../../shared/token-bucket.ts';

const BURST_SECONDS = 2;
const FILTER_COST = 10;

/** The fields of a parsed packet that its cost depends on. */
export interface CostlyPacket {
  cmd?: string;
  subscriptions?: readonly unknown[];
  unsubscriptions?: readonly unknown[];
}

export class PacketRate {
  readonly #clock: Clock;
  readonly #bucket: TokenBucket | null;

  /** `perSecond` is 0 for no limit. */
  constructor(perSecond: number, clock: Clock) {
    this.#clock = clock;
    this.#bucket = perSecond === 0 ? null : new TokenBucket(perSecond, BURST_SECONDS, clock.monoMs());
  }

  took({ cmd, subscriptions, unsubscriptions }: CostlyPacket): void {
    if (cmd === 'publish') return;
    const filters = (subscriptions?.length ?? 0) + (unsubscriptions?.length ?? 0);
    this.#bucket?.take(Math.max(1, filters * FILTER_COST), this.#clock.monoMs());
  }

  /** Milliseconds until the client may be read again; 0 for now. */
  waitMs(): number {
    return this.#bucket?.waitMs(this.#clock.monoMs()) ?? 0;
  }
}
