/**
 * Limits the publish rate of each client, in messages and bytes. A publish over the rate waits before the
 * intake. The broker does not read from a client with much unanswered input, so TCP slows the client down and
 * nothing is lost. A client that exceeds its rate for a minute is disconnected.
 */
import type { Client } from 'aedes';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { TokenBucket } from '../../../shared/token-bucket.ts';

const BURST_SECONDS = 2;
const OVER_MS_MAX = 60_000;
/** Overhead beside topic and payload: fixed header, packet id, length of the topic. */
const PACKET_OVERHEAD_BYTES = 6;

export interface PublishLimits {
  /** Per client and second; 0: no limit. */
  maxPublishRate: number;
  maxPublishBytesRate: number;
}

interface Metered {
  messages: TokenBucket | null;
  bytes: TokenBucket | null;
  /** Since when the client's publishes have had to wait; null when none waits. */
  overSinceMs: number | null;
  /** Due time of the newest waiting publish. */
  dueMs: number;
  /** The client's waiting publishes, oldest first. */
  waiting: Array<{ dueMs: number; goOn: () => void }>;
  timer: Timer | null;
}

/** `wait`: call {@link PublishRate.wait}. `cut-off`: the client was over its rate for too long. */
export type Admission = 'now' | 'wait' | 'cut-off';

export class PublishRate {
  readonly #limits: PublishLimits;
  readonly #clock: Clock;
  readonly #clients = new WeakMap<Client, Metered>();

  constructor(limits: PublishLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  admit(client: Client, packet: { topic: string; payload: string | Uint8Array }): Admission {
    const { maxPublishRate, maxPublishBytesRate } = this.#limits;
    if (maxPublishRate === 0 && maxPublishBytesRate === 0) return 'now';
    const now = this.#clock.monoMs();
    const metered = this.#meterOf(client, now);
    const bytes = packet.payload.length + packet.topic.length + PACKET_OVERHEAD_BYTES;
    const waitMs = Math.max(metered.messages?.take(1, now) ?? 0, metered.bytes?.take(bytes, now) ?? 0);
    if (waitMs === 0 && metered.waiting.length === 0) {
      metered.overSinceMs = null;
      return 'now';
    }
    metered.overSinceMs ??= now;
    if (now - metered.overSinceMs > OVER_MS_MAX) return 'cut-off';
    metered.dueMs = now + waitMs;
    return 'wait';
  }

  /**
   * After `admit` returned `wait`: `goOn` is called when the intake may take the publish, in the order of
   * arrival.
   */
  wait(client: Client, goOn: () => void): void {
    const now = this.#clock.monoMs();
    const metered = this.#meterOf(client, now);
    metered.waiting.push({ dueMs: metered.dueMs, goOn });
    this.#schedule(metered, now);
  }

  /** The connection has ended; its waiting publishes are dropped unacknowledged. */
  forget(client: Client): void {
    const metered = this.#clients.get(client);
    metered?.timer?.cancel();
    this.#clients.delete(client);
  }

  #meterOf(client: Client, nowMs: number): Metered {
    const before = this.#clients.get(client);
    if (before) return before;
    const { maxPublishRate, maxPublishBytesRate } = this.#limits;
    const bucket = (perSecond: number): TokenBucket | null =>
      perSecond === 0 ? null : new TokenBucket(perSecond, BURST_SECONDS, nowMs);
    const metered: Metered = {
      messages: bucket(maxPublishRate),
      bytes: bucket(maxPublishBytesRate),
      overSinceMs: null,
      dueMs: nowMs,
      waiting: [],
      timer: null,
    };
    this.#clients.set(client, metered);
    return metered;
  }

  #schedule(metered: Metered, nowMs: number): void {
    const [next] = metered.waiting;
    if (!next || metered.timer) return;
    metered.timer = this.#clock.setTimer(Math.max(1, next.dueMs - nowMs), () => {
      metered.timer = null;
      const now = this.#clock.monoMs();
      const due = metered.waiting.findIndex(({ dueMs }) => dueMs > now);
      for (const { goOn } of metered.waiting.splice(0, due === -1 ? metered.waiting.length : due)) goOn();
      this.#schedule(metered, now);
    });
  }
}
