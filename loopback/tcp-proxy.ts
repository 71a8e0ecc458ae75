/**
 * A TCP proxy in front of a loopback cloud for the transport faults: it acts on connections below TLS, so
 * that every SDK sees a real network fault.
 *
 * All chunks leave in the order of arrival, and so does the end of the connection: a chunk that overtook
 * another, or an end that cut off a late chunk, would be a fault that no network has.
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

/** Another program's outgoing connection may use a deliberately closed port for a moment. */
const REOPEN_TRIES = 50;
const REOPEN_PAUSE_MS = 100;

export class TcpProxy implements Service {
  readonly #targetPort: number;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #pairs = new Set<Pair>();
  #server: Server | null = null;
  #port: number;
  #started: boolean = false;
  #fault: Fault | null = null;
  #faultSinceMs = 0;
  #flapTimer: Timer | null = null;
  /** The last opening or closing of the port; they run one after the other. */
  #lastMove: Promise<void> = Promise.resolve();

  /** `port` 0 takes a free port at `start` and keeps it while it is closed. */
  constructor(options: { targetPort: number; port: number; clock: Clock; entropy: Entropy }) {
    this.#targetPort = options.targetPort;
    this.#port = options.port;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
  }

  get port(): number {
    return this.#port;
  }

  async start(): Promise<void> {
    await this.#move('open');
    this.#started = true;
  }

  async stop(): Promise<void> {
    this.#started = false;
    this.#fault = null;
    this.#flapTimer?.cancel();
    await this.#move('closed');
  }

  /** Applies a transport fault; any other fault, or null, clears it. No effect before `start`. */
  async setFault(fault: Fault | null): Promise<void> {
    if (!this.#started) return;
    this.#flapTimer?.cancel();
    const before = this.#fault;
    this.#fault = fault && TRANSPORT_FAULTS.has(fault.name) ? fault : null;
    this.#faultSinceMs = this.#clock.monoMs();
    // A black hole has swallowed bytes, so the TLS streams are broken: cuts these connections, so that
    // clients make new ones.
    if (before?.name === 'blackhole' && this.#fault?.name !== 'blackhole') this.#cutAll();
    await this.#move(this.#fault?.name === 'refuse' || this.#fault?.name === 'flap' ? 'closed' : 'open');
    if (this.#fault?.name === 'flap') this.#flap(this.#fault, 'open');
  }

  #flap(fault: Fault, next: 'open' | 'closed'): void {
    this.#flapTimer = this.#clock.setTimer(fault.periodMs, () => {
      const goOn = (): void => {
        if (this.#fault === fault) this.#flap(fault, next === 'open' ? 'closed' : 'open');
      };
      // A port that could not be opened stays closed for this half of the cycle.
      this.#move(next).then(goOn, goOn);
    });
  }

  #move(to: 'open' | 'closed'): Promise<void> {
    const move = this.#lastMove.then(() => (to === 'open' ? this.#open() : this.#close()));
    // The caller of a move gets its failure; the next move starts from the actual state.
    this.#lastMove = move.catch(() => undefined);
    return move;
  }

  async #open(): Promise<void> {
    if (this.#server) return;
    for (let tries = this.#started ? REOPEN_TRIES : 1; ; tries -= 1) {
      try {
        this.#server = await listen(this.#port, (socket) => this.#accept(socket));
        break;
      } catch (error) {
        if (tries <= 1) throw error;
        await this.#clock.sleep(REOPEN_PAUSE_MS);
      }
    }
    const address = this.#server.address();
    if (address && typeof address === 'object') this.#port = address.port;
  }

  #close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.#cutAll();
    if (!server) return Promise.resolve();
    return new Promise((resolve) => server.close(() => resolve()));
  }

  #cutAll(): void {
    for (const pair of this.#pairs) cut(pair);
    this.#pairs.clear();
  }

  #accept(outer: Socket): void {
    const inner = tcpConnect({ port: this.#targetPort, host: '127.0.0.1' });
    const pair = { outer, inner };
    this.#pairs.add(pair);
    outer.setNoDelay(true);
    inner.setNoDelay(true);
    this.#carry(pair, 'request');
    this.#carry(pair, 'answer');
  }

  #carry(pair: Pair, direction: 'request' | 'answer'): void {
    const [from, to] = direction === 'request' ? [pair.outer, pair.inner] : [pair.inner, pair.outer];
    /**
     * Delayed chunks that have not left. Each timer releases the oldest one, because Node's timers may fire
     * out of order.
     */
    const late: (() => void)[] = [];
    let lastLeavesAtMs = 0;
    const inOrder = (act: () => void): void => {
      const now = this.#clock.monoMs();
      lastLeavesAtMs = Math.max(lastLeavesAtMs, now + (direction === 'answer' ? this.#latencyMs() : 0));
      if (lastLeavesAtMs <= now && late.length === 0) {
        act();
        return;
      }
      late.push(act);
      this.#clock.setTimer(lastLeavesAtMs - now, () => late.shift()?.());
    };
    from.on('data', (chunk) => {
      if (this.#fault?.name === 'blackhole') return;
      if (this.#fault?.name === 'reset' && direction === 'request') return cut(pair);
      inOrder(() => {
        if (!to.writable || this.#fault?.name === 'blackhole') return;
        if (to.write(chunk) || from.isPaused()) return;
        from.pause();
        to.once('drain', () => from.resume());
      });
    });
    // A close follows the error, and reaches the other side.
    from.on('error', () => undefined);
    from.on('close', () => {
      // In a black hole a client must not learn that the server closed the connection.
      if (this.#fault?.name === 'blackhole' && direction === 'answer') return;
      inOrder(() => {
        this.#pairs.delete(pair);
        to.destroySoon();
      });
    });
  }

  #latencyMs(): number {
    const fault = this.#fault;
    if (fault?.name !== 'slow' && fault?.name !== 'slow-ramp') return 0;
    const elapsedMs = this.#clock.monoMs() - this.#faultSinceMs;
    const share = fault.name === 'slow' ? 1 : Math.min(1, elapsedMs / fault.periodMs);
    return Math.max(0, share * (fault.latencyMs + (this.#entropy.float() * 2 - 1) * fault.jitterMs));
  }
}

/**
 * Sends RST to the client, so that it does not read the cut as the end of an answer. Node's reset fails, and
 * leaves the socket open for ever, while the socket is shutting down: then a plain close is used. In any case
 * the socket must not keep the process alive.
 */
function cut({ outer, inner }: Pair): void {
  outer.unref();
  if (outer.writable && outer.writableLength === 0) outer.resetAndDestroy();
  else outer.destroy();
  inner.destroy();
}

function listen(port: number, accept: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(accept);
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
