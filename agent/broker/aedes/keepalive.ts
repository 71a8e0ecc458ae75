/**
 * The keep alive of a client [MQTT-3.1.2-24]. aedes counts whole packets only, so a device that sends a large
 * one over a thin link would be ended in the middle of it; here every byte counts. A client that is not read
 * from, because the disk is slow, is not blamed for its silence; and after a pause of the process its waiting
 * input is read before it is judged.
 */
import type { Socket } from 'node:net';
import type { Client, ConnectPacket } from 'aedes';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { afterInput } from '../listeners/connect-deadline.ts';

export interface KeepaliveParts {
  clock: Clock;
  client: Client;
  /** The TCP connection under the client's. */
  socket: Socket;
  /** Whether the client is not read from at present. */
  isHeldBack(): boolean;
}

export class Keepalive {
  readonly #parts: KeepaliveParts;
  readonly #limitMs: number;
  #bytes = 0;
  #heardMs: number;
  #timer: Timer | null = null;

  /** Takes the keep alive out of `packet`, so that aedes has none. Call before aedes handles the packet. */
  constructor(packet: ConnectPacket, parts: KeepaliveParts) {
    this.#parts = parts;
    this.#limitMs = (packet.keepalive ?? 0) * 1500;
    packet.keepalive = 0;
    this.#heardMs = parts.clock.monoMs();
    if (this.#limitMs === 0) return;
    parts.client.conn.once('close', () => this.#timer?.cancel());
    this.#schedule(this.#limitMs);
  }

  /** Bytes of the client were read. */
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
    // Bytes that are not a whole TLS record or WebSocket frame yet are not read by the client.
    if (socket.bytesRead !== this.#bytes || isHeldBack()) this.heard();
    const leftMs = this.#heardMs + this.#limitMs - clock.monoMs();
    if (leftMs > 0) this.#schedule(leftMs);
    else client.conn.destroy(new Error('keep alive timeout'));
  }
}
