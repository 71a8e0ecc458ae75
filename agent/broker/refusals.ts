/** What the broker did not take, counted by reason and logged at a bounded rate (I10). */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';

/** The text is the log field and the metric label. */
export type RefusalReason =
  /** As many connections as there may be, or as the system's file descriptors allow. */
  | 'connection-limit'
  /** Too many connections begun in a second, from everywhere or from one address. */
  | 'connect-rate'
  /** No CONNECT within `connect_timeout` of the connection, its TLS or WebSocket handshake included. */
  | 'connect-timeout'
  /** A packet that MQTT 3.1.1 forbids; the connection was ended. */
  | 'malformed-packet'
  /** A protocol version that is not served: MQTT 5, or a level that there is none of. */
  | 'protocol-version'
  /** Empty client id with a session to keep, or one that is not the device's to use. */
  | 'client-id'
  /** No certificate, one of nobody, or a TLS handshake that failed. */
  | 'certificate'
  /** The certificate is of one device, the username of another. */
  | 'identity-mismatch'
  /** No credentials, where they are needed. */
  | 'anonymous'
  /** Not a device, or not its password. */
  | 'bad-credentials'
  /** Too many failed logins with that name from that address. */
  | 'login-limit'
  /** Too many logins at once, or too many wrong passwords from everywhere. */
  | 'login-busy'
  /** The device is known and switched off. */
  | 'disabled'
  /** As many sessions as there may be. */
  | 'session-limit'
  /** The device has no rule that allows it. */
  | 'will-not-allowed'
  | 'publish-not-allowed'
  | 'subscribe-not-allowed'
  /** Longer than a packet may be; the connection was cut before its content was read. */
  | 'packet-too-large'
  /** No provider that may carry its stream takes so large a record. */
  | 'record-too-large'
  /** Longer or deeper than topics may be. */
  | 'topic-limit'
  /** As many subscriptions as a client may have. */
  | 'subscription-limit'
  /** Not a topic name. */
  | 'invalid-topic'
  /** Topics that begin with `$` are the broker's own. */
  | 'reserved-topic'
  /** A client that published faster than it may, for too long; its connection was ended. */
  | 'publish-rate'
  /** A client that does not take what it is sent; its connection was ended. */
  | 'slow-consumer'
  /** The record did not become durable. */
  | 'intake-failed';

const LOG_EVERY_MS = 10_000;

export class Refusals {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #counts = new Map<RefusalReason, { total: number; unlogged: number; loggedMs: number }>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Counts one; logs it when this reason was not logged in the last ten seconds, with how many there were
   * since.
   */
  add(reason: RefusalReason, facts: Record<string, string | number> = {}): void {
    const now = this.#clock.monoMs();
    const count = this.#counts.get(reason) ?? { total: 0, unlogged: 0, loggedMs: Number.NEGATIVE_INFINITY };
    this.#counts.set(reason, count);
    count.total += 1;
    count.unlogged += 1;
    if (now - count.loggedMs < LOG_EVERY_MS) return;
    this.#log.warn({ event: 'broker.refused', reason, ...facts, count: count.unlogged });
    count.unlogged = 0;
    count.loggedMs = now;
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, { total }) => sum + total, 0);
  }

  byReason(): Partial<Record<RefusalReason, number>> {
    return Object.fromEntries([...this.#counts].map(([reason, { total }]) => [reason, total]));
  }
}
