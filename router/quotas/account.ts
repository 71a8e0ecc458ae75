/** The account of one gateway at one source, against its quotas. */
import type { StreamKey } from '../../shared/record.ts';
import { TokenBucket } from '../../shared/token-bucket.ts';
import type { GatewayQuotas } from './options.ts';

/** The quota that is used up; a metric label. */
export type QuotaReason = RateQuota | StoredQuota;
/** Of what comes. */
type RateQuota = 'envelopes' | 'bytes' | 'streams' | 'stored';
/** Of what the ledger holds. */
type StoredQuota = 'ranges' | 'dead-letters' | 'conflicts';

/** Over a quota; `waitMs` until it admits one message more. */
export interface OverQuota {
  quota: RateQuota;
  waitMs: number;
}

const BURST_SECONDS = 10;
const DAY_SECONDS = 86_400;
/** Streams that an account remembers where new ones have no quota (I10). */
const STREAMS_MAX = 1000;

export class Account {
  readonly #envelopes: TokenBucket | null;
  readonly #bytes: TokenBucket | null;
  readonly #newStreams: TokenBucket | null;
  readonly #stored: TokenBucket | null;
  readonly #streamsMax: number;
  /** The one used last at the end. */
  readonly #streams = new Set<string>();

  constructor(quotas: GatewayQuotas, nowMs: number) {
    const { envelopesPerSecond, bytesPerSecond, newStreamsPerDay, storedBytesPerDay } = quotas;
    const bucket = (perSecond: number, burstSeconds: number): TokenBucket | null =>
      perSecond === 0 ? null : new TokenBucket(perSecond, burstSeconds, nowMs);
    this.#envelopes = bucket(envelopesPerSecond, BURST_SECONDS);
    this.#bytes = bucket(bytesPerSecond, BURST_SECONDS);
    this.#newStreams = bucket(newStreamsPerDay / DAY_SECONDS, DAY_SECONDS);
    this.#stored = bucket(storedBytesPerDay / DAY_SECONDS, DAY_SECONDS);
    this.#streamsMax = newStreamsPerDay || STREAMS_MAX;
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Null for a message that is admitted, and counted. A message that is not admitted costs nothing. */
  message(length: number, nowMs: number): OverQuota | null {
    const envelopesMs = this.#envelopes?.waitMs(nowMs) ?? 0;
    if (envelopesMs > 0) return { quota: 'envelopes', waitMs: envelopesMs };
    const bytesMs = this.#bytes?.waitMs(nowMs) ?? 0;
    if (bytesMs > 0) return { quota: 'bytes', waitMs: bytesMs };
    this.#envelopes?.take(1, nowMs);
    this.#bytes?.take(length, nowMs);
    return null;
  }

  /** Null for a stream that is known, or new within the quota. */
  stream({ epoch, stream }: StreamKey, nowMs: number): OverQuota | null {
    const name = `${epoch}/${stream}`;
    if (!this.#streams.delete(name) && this.#newStreams !== null && !this.#newStreams.tryTake(nowMs))
      return { quota: 'streams', waitMs: this.#newStreams.waitMs(nowMs) };
    this.#streams.add(name);
    for (const oldest of this.#streams) {
      if (this.#streams.size <= this.#streamsMax) break;
      this.#streams.delete(oldest);
    }
    return null;
  }

  /**
   * Null for records that may be stored, which count. They are paid for afterwards where less was left, and
   * those that are not taken cost nothing.
   */
  stored(bytes: number, nowMs: number): OverQuota | null {
    const waitMs = this.#stored?.waitMs(nowMs) ?? 0;
    if (waitMs > 0) return { quota: 'stored', waitMs };
    this.#stored?.take(bytes, nowMs);
    return null;
  }
}
