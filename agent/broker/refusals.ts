/**
 * Connections and publishes that the broker refused, counted by reason and logged at a bounded rate (I10).
 */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import { SparseLog } from '../../shared/sparse-log.ts';

/** The text is both log field and metric label. */
export type RefusalReason =
  /** The number of connections is at its limit, or at that of the system's file descriptors. */
  | 'connection-limit'
  /** Too many connections from one address that have not logged in. */
  | 'address-limit'
  /** Too many connections of one device at a time. */
  | 'device-limit'
  /** Too many connections begun in a second, from everywhere or from one address, or by one device. */
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
  /** Too many logins wait, in all or from that address. */
  | 'login-busy'
  /** The device is disabled in the device file. */
  | 'disabled'
  /** The WebSocket client is a page of an origin that is not listed. */
  | 'origin'
  /** The number of sessions is at its limit, over all clients or for the device. */
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
  /** More packets than the rate, other than PUBLISH; the broker reads from the client more slowly. */
  | 'packet-rate'
  /** The client does not read its messages; its connection was ended. */
  | 'slow-consumer'
  /** The record did not become durable. */
  | 'intake-failed';

type OnRefused = (clientId: string, address: string, reason: RefusalReason) => void;

const LOG_EVERY_MS = 10_000;

export class Refusals {
  readonly #sparse: SparseLog;
  readonly #counts = new Map<RefusalReason, number>();

  readonly #onRefused: OnRefused;

  /** `onRefused`: told of each, with what is known of the client; empty where it is not. */
  constructor(clock: Clock, log: Logger, onRefused: OnRefused = () => undefined) {
    this.#onRefused = onRefused;
    this.#sparse = new SparseLog({ log, clock, periodMs: LOG_EVERY_MS });
  }

  /**
   * Counts the refusal. Logs it, with the count since the last line, at most once in ten seconds for each
   * reason.
   */
  add(reason: RefusalReason, facts: Record<string, string | number> = {}): void {
    const total = (this.#counts.get(reason) ?? 0) + 1;
    this.#counts.set(reason, total);
    const { device = '', address = '' } = facts;
    this.#onRefused(String(device), String(address), reason);
    const fields = (suppressed: number) => ({ reason, ...facts, count: suppressed + 1, total });
    this.#sparse.warn('broker.refused', fields, reason);
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  byReason(): Partial<Record<RefusalReason, number>> {
    return Object.fromEntries(this.#counts);
  }
}
