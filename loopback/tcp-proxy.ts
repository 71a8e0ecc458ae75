/**
 * A TCP proxy in front of a loopback cloud that does the transport faults: what a network does to a connection,
 * below TLS, so that every SDK sees it as the real thing.
 */
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net';
import type { Clock, Timer } from '../shared/clock.ts';
import type { Entropy } from '../shared/entropy.ts';
import type { Service } from '../shared/service.ts';
import { type Fault, TRANSPORT_FAULTS } from './faults.ts';

interface Pair {
  outer: Socket;
  inner: Socket;
}

export class TcpProxy implements Service {
  readonly #targetPort: number;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #pairs = new Set<Pair>();
  #server: Server | null = null;
  #port: number;
  #fault: Fault | null = null;
  #flapTimer: Timer | null = null;

  /** `port` 0 picks a free one at `start` and keeps it over refusals. */
  constructor(options: { targetPort: number; port: number; clock: Clock; entropy: Entropy }) {
    this.#targetPort = options.targetPort;
    this.#port = options.port;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
  }

  get port(): number {
    return this.#port;
  }

  start(): Promise<void> {
    return this.#listen();
  }

  async stop(): Promise<void> {
    this.#flapTimer?.cancel();
    await this.#close();
  }

  /** Applies a transport fault; any other fault, or null, means a clear line. */
  async setFault(fault: Fault | null): Promise<void> {
    this.#flapTimer?.cancel();
    this.#flapTimer = null;
    const before = this.#fault;
    this.#fault = fault && TRANSPORT_FAULTS.has(fault.name) ? fault : null;
    // Bytes swallowed by a black hole leave a TLS stream torn: cut those connections so that clients make new ones.
    if (before?.name === 'blackhole' && this.#fault?.name !== 'blackhole') this.#cutAll();
    if (this.#fault?.name === 'refuse') await this.#close();
    else await this.#listen();
    if (this.#fault?.name === 'flap') {
      await this.#close();
      this.#flap(this.#fault.periodMs, false);
    }
  }

  #flap(periodMs: number, open: boolean): void {
    this.#flapTimer = this.#clock.setTimer(periodMs, () => {
      const turn = open ? this.#close() : this.#listen();
      void turn.finally(() => {
        if (this.#fault?.name === 'flap') this.#flap(periodMs, !open);
      });
    });
  }

  #listen(): Promise<void> {
    if (this.#server) return Promise.resolve();
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', () => {
        const address = server.address();
        if (address && typeof address === 'object') this.#port = address.port;
        resolve();
      });
    });
  }

  #close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.#cutAll();
    if (!server) return Promise.resolve();
    return new Promise((resolve) => server.close(() => resolve()));
  }

  #cutAll(): void {
    for (const { outer, inner } of this.#pairs) {
      outer.resetAndDestroy();
      inner.destroy();
    }
    this.#pairs.clear();
  }

  #accept(outer: Socket): void {
    const inner = tcpConnect({ port: this.#targetPort, host: '127.0.0.1' });
    const pair = { outer, inner };
    this.#pairs.add(pair);
    outer.setNoDelay(true);
    inner.setNoDelay(true);
    this.#carry(outer, inner, pair, true);
    this.#carry(inner, outer, pair, false);
  }

  #carry(from: Socket, to: Socket, pair: Pair, inbound: boolean): void {
    /** When the last delayed chunk leaves: later chunks never overtake it. */
    let leavesAtMs = 0;
    from.on('data', (chunk) => {
      const fault = this.#fault;
      if (fault?.name === 'blackhole') return;
      if (fault?.name === 'reset' && inbound) {
        pair.outer.resetAndDestroy();
        pair.inner.destroy();
        return;
      }
      const now = this.#clock.monoMs();
      const delayMs =
        fault?.name === 'slow' && !inbound
          ? fault.latencyMs + (this.#entropy.float() * 2 - 1) * fault.jitterMs
          : 0;
      leavesAtMs = Math.max(leavesAtMs, now + Math.max(0, delayMs));
      const write = (): void => {
        if (to.destroyed || this.#fault?.name === 'blackhole') return;
        if (!to.write(chunk)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      };
      if (leavesAtMs <= now) write();
      else this.#clock.setTimer(leavesAtMs - now, write);
    });
    from.on('end', () => {
      if (this.#fault?.name !== 'blackhole') to.end();
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#pairs.delete(pair);
      to.destroy();
    });
  }
}
