/**
 * One budget from the accepted TCP connection to CONNECT, whatever lies between: a TLS handshake, an upgrade
 * to WebSocket, bytes that come one by one. A connection that is over its budget is ended (I10).
 */
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../../shared/clock.ts';

/** The system finds a device that vanished after this silence, and ten probes a second apart. */
export const TCP_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };

export interface ConnectDeadlineParts {
  clock: Clock;
  limitMs: number;
  /** The connection is over its budget, and is ended after this. */
  onLate(address: string): void;
}

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

  /** CONNECT has arrived, or the connection is over. */
  end(socket: Socket): void {
    this.#timers.get(socket)?.cancel();
    this.#timers.delete(socket);
  }

  /** Ends the connections that are before their CONNECT. */
  destroyAll(): void {
    for (const socket of this.#timers.keys()) socket.destroy();
  }

  #late(socket: Socket): void {
    // After a pause of the process its timers are due before its input is read: CONNECT may be waiting.
    afterInput(() => {
      if (!this.#timers.has(socket)) return;
      this.#parts.onLate(socket.remoteAddress ?? '');
      socket.destroy();
    });
  }
}

/** Calls `run` when what had arrived has been read: the loop polls for input between two immediates. */
export function afterInput(run: () => void): void {
  setImmediate(() => setImmediate(run));
}
