/**
 * The keep alive of a client [MQTT-3.1.2-24]. aedes counts whole packets only, so it would disconnect a
 * device in the middle of a large packet on a slow link; here every byte counts. While the broker itself does
 * not read from a client, because the disk is slow, the timer does not run against the client. After a pause
 * of the process, the waiting input is read before the timeout is judged.
 */
import type { Socket } from 'node:net';
import type { Client, ConnectPacket } from 'aedes';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { afterInput } from '../listeners/connect-deadline.ts';

export interface KeepaliveParts {
  clock: Clock;
  client: Client;
  /** The TCP connection under the client's stream. */
  socket: Socket;
  /** Whether the broker has stopped reading from the client. */
  isHeldBack(): boolean;
}

export class Keepalive {
  readonly #parts: KeepaliveParts;
  readonly #limitMs: number;
  #bytes = 0;
  #heardMs: number;
  #timer: Timer | null = null;

  /**
   * Clears the keep alive of `packet`, so that aedes does not apply its own. Call before aedes handles the
   * packet.
   */
  constructor(packet: ConnectPacket, parts: KeepaliveParts) {
    this.#parts = parts;
    this.#limitMs = (packet.keepalive ?? 0) * 1500;
    packet.keepalive = 0;
    // Those of the CONNECT, which has been read.
    this.#bytes = parts.socket.bytesRead;
    this.#heardMs = parts.clock.monoMs();
    if (this.#limitMs === 0) return;
    parts.client.conn.once('close', () => this.#timer?.cancel());
    this.#schedule(this.#limitMs);
  }

  /** Called when bytes of the client were read. */
  heard(): void {
    this.#bytes = this.#parts.socket.bytesRead;
    this.#heardMs = this.#parts.clock.monoMs();
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#parts.clock.setTimer(delayMs, () => afterInput(() => this.#look()));
  }

  #look(): void {
    const { clock, client, socket, isHeldBack } = this.#parts;
    if (client.closed || client.conn.destroyed) return;
    // The client does not read an incomplete TLS record or WebSocket frame, but its bytes count as activity.
    if (socket.bytesRead !== this.#bytes || isHeldBack()) this.heard();
    const leftMs = this.#heardMs + this.#limitMs - clock.monoMs();
    if (leftMs > 0) this.#schedule(leftMs);
    else client.conn.destroy(new Error('keep alive timeout'));
  }
}
