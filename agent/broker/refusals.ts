/**
 * Connections and publishes that the broker refused, counted by reason and logged at a bounded rate (I10).
 */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';

/** The text is both log field and metric label. */
export type RefusalReason =
  /** The number of connections is at its limit, or at that of the system's file descriptors. */
  | 'connection-limit'
  /** Too many connections begun in a second, from everywhere or from one address. */
  | 'connect-rate'
  /** No CONNECT within `connect_timeout` of the connection, its TLS or WebSocket handshake included. */
  | 'connect-timeout'
  /** MQTT 3.1.1 forbids the packet; the connection was ended. */
  | 'malformed-packet'
  /** An unsupported protocol version: MQTT 5, or an unknown level. */
  | 'protocol-version'
  /** An empty client id with a persistent session, or a client id that belongs to another device. */
  | 'client-id'
  /** No certificate, a certificate that names no known device, or a failed TLS handshake. */
  | 'certificate'
  /** The certificate is of one device, the username of another. */
  | 'identity-mismatch'
  /** No credentials, where they are required. */
  | 'anonymous'
  /** An unknown device, or a wrong password. */
  | 'bad-credentials'
  /** Too many failed logins with that name from that address. */
  | 'login-limit'
  /** Too many logins at once, or too many wrong passwords from everywhere. */
  | 'login-busy'
  /** The device is disabled in the device file. */
  | 'disabled'
  /** The number of sessions is at its limit. */
  | 'session-limit'
  /** No rule of the device allows its will. */
  | 'will-not-allowed'
  | 'publish-not-allowed'
  | 'subscribe-not-allowed'
  /** The packet exceeds the limit; the connection was ended before its content was read. */
  | 'packet-too-large'
  /** No provider that may carry the stream takes a record of this size. */
  | 'record-too-large'
  /** The topic is longer or has more levels than the limit. */
  | 'topic-limit'
  /** The client's number of subscriptions is at its limit. */
  | 'subscription-limit'
  /** Not a valid topic name. */
  | 'invalid-topic'
  /** Topics that begin with `$` belong to the broker. */
  | 'reserved-topic'
  /** The client exceeded its publish rate for too long; its connection was ended. */
  | 'publish-rate'
  /** The client does not read its messages; its connection was ended. */
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
   * Counts the refusal. Logs it, with the count since the last line, at most once in ten seconds for each
   * reason.
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
