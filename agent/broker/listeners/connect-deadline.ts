/**
 * One deadline from the accepted TCP connection to CONNECT. It includes a TLS handshake, a WebSocket upgrade
 * and slow input. A connection that misses the deadline is ended (I10).
 */
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../../shared/clock.ts';

/** After this silence the kernel sends ten keepalive probes, a second apart, to detect a vanished device. */
export const TCP_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };

export interface ConnectDeadlineParts {
  clock: Clock;
  limitMs: number;
  /** Called before the connection is ended for missing its deadline. */
  onLate(address: string): void;
}

/**
 * Limit for the first packet of a connection, which must be CONNECT [MQTT-3.1.0-1]: client id, will and
 * credentials.
 */
export const CONNECT_BYTES_MAX = 4096;

export class ConnectDeadlines {
  readonly #parts: ConnectDeadlineParts;
  readonly #timers = new Map<Socket, Timer>();

  constructor(parts: ConnectDeadlineParts) {
    this.#parts = parts;
  }

  /** Call when the connection is accepted. */
  begin(socket: Socket): void {
    const { clock, limitMs } = this.#parts;
    this.#timers.set(
      socket,
      clock.setTimer(limitMs, () => this.#late(socket)),
    );
    socket.once('close', () => this.end(socket));
  }

  /** Called when CONNECT has arrived, or the connection has ended. */
  end(socket: Socket): void {
    this.#timers.get(socket)?.cancel();
    this.#timers.delete(socket);
  }

  /** Whether CONNECT has not come yet. */
  isPending(socket: Socket): boolean {
    return this.#timers.has(socket);
  }

  /** Ends the connections that have not sent CONNECT yet. */
  destroyAll(): void {
    for (const socket of this.#timers.keys()) socket.destroy();
  }

  #late(socket: Socket): void {
    // After a pause of the process, timers are due before waiting input is read, and CONNECT may be in that
    // input.
    afterInput(() => {
      if (!this.#timers.has(socket)) return;
      this.#parts.onLate(socket.remoteAddress ?? '');
      socket.destroy();
    });
  }
}

/**
 * Calls `run` after the input that has arrived was read: the event loop polls for input between two
 * immediates.
 */
export function afterInput(run: () => void): void {
  setImmediate(() => setImmediate(run));
}
