/**
 * Limits the connections to the endpoint before anything of them is believed (I10): by address in number and
 * rate, in time until the head of the first request, TLS handshake included, and in total. The last fifth of
 * all connections is reserved for addresses from which a gateway has logged in lately.
 */
import type { Server, Socket } from 'node:net';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { ConnectRate } from '../../../shared/connect-rate.ts';
import { networkOf } from '../../../shared/network/network-of.ts';

/** From the accepted connection to the whole head of its first request. */
export const HEAD_MS = 10_000;
const RESERVED = 1 / 5;
/** Bound on the addresses that are known; the one whose login is the oldest is dropped. */
const KNOWN_MAX = 100_000;

/** Why a connection was ended; the metric label. */
export type ConnectionRefusal =
  /** All connections are taken, or all but those reserved for known addresses. */
  | 'connection-limit'
  /** The address has too many connections. */
  | 'address-limit'
  /** The address begins too many connections in a second. */
  | 'connect-rate'
  /** No whole request head came in time. */
  | 'head-timeout';

export interface GuardOptions {
  clock: Clock;
  maxConnections: number;
  /** 0: no limit. */
  maxPerAddress: number;
  /** Per second; 0: no limit. */
  maxRatePerAddress: number;
  onRefused(reason: ConnectionRefusal, address: string): void;
}

export class ConnectionGuard {
  readonly #options: GuardOptions;
  readonly #rate: ConnectRate;
  readonly #byNetwork = new Map<string, number>();
  readonly #known = new Set<string>();
  /** By {@link endOf}: over TLS a request does not have the socket that was accepted. */
  readonly #waiting = new Map<string, Timer>();
  #open = 0;

  constructor(options: GuardOptions) {
    this.#options = options;
    const rates = { maxConnectRate: 0, maxConnectRatePerAddress: options.maxRatePerAddress };
    this.#rate = new ConnectRate(rates, options.clock);
  }

  /** Call before the server listens. */
  watch(server: Server): void {
    const { maxConnections, onRefused } = this.#options;
    server.maxConnections = maxConnections;
    server.on('drop', (dropped) => onRefused('connection-limit', dropped?.remoteAddress ?? ''));
    server.prependListener('connection', (socket: Socket) => this.#accept(socket));
    server.on('request', ({ socket }: { socket: Socket }) => this.#headCame(endOf(socket)));
  }

  /** A gateway has logged in over the connection. */
  loggedIn({ remoteAddress = '' }: Socket): void {
    const network = networkOf(remoteAddress);
    this.#known.delete(network);
    this.#known.add(network);
    const [oldest] = this.#known;
    if (this.#known.size > KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
  }

  #accept(socket: Socket): void {
    const { remoteAddress: address = '' } = socket;
    const network = networkOf(address);
    const reason = this.#refusalOf(network);
    if (reason !== null) {
      this.#options.onRefused(reason, address);
      socket.destroy();
      return;
    }
    const end = endOf(socket);
    this.#open += 1;
    this.#byNetwork.set(network, this.#connectionsOf(network) + 1);
    const timer = this.#options.clock.setTimer(HEAD_MS, () => this.#late(socket, end));
    this.#waiting.set(end, timer);
    socket.once('close', () => {
      this.#open -= 1;
      const left = this.#connectionsOf(network) - 1;
      if (left > 0) this.#byNetwork.set(network, left);
      else this.#byNetwork.delete(network);
      if (this.#waiting.get(end) === timer) this.#headCame(end);
    });
  }

  #refusalOf(network: string): ConnectionRefusal | null {
    const { maxConnections, maxPerAddress } = this.#options;
    const forAll = maxConnections - Math.floor(maxConnections * RESERVED);
    if (this.#open >= forAll && !this.#known.has(network)) return 'connection-limit';
    if (maxPerAddress > 0 && this.#connectionsOf(network) >= maxPerAddress) return 'address-limit';
    return this.#rate.allows(network) ? null : 'connect-rate';
  }

  #connectionsOf(network: string): number {
    return this.#byNetwork.get(network) ?? 0;
  }

  #headCame(end: string): void {
    this.#waiting.get(end)?.cancel();
    this.#waiting.delete(end);
  }

  #late(socket: Socket, end: string): void {
    // After a pause of the process, the head may wait to be read: the loop polls between two immediates.
    setImmediate(() =>
      setImmediate(() => {
        if (!this.#waiting.has(end)) return;
        this.#options.onRefused('head-timeout', socket.remoteAddress ?? '');
        socket.destroy();
      }),
    );
  }
}

function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
