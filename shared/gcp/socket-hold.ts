/**
 * Channel credentials that keep references to their sockets, because gRPC does not close them by itself: a
 * channel on a black-holed connection, or in a TLS handshake without an answer, would stay for minutes, and a
 * closed channel waits for its calls.
 */
import type { Socket } from 'node:net';
import { type CallCredentials, ChannelCredentials } from '@grpc/grpc-js';
import type { Clock } from '../clock.ts';
import { openTunnel } from '../network/tunnel.ts';
import type { GcpChannel } from './connection.ts';

/** The proxy between the channel's address and the service, if there is one. */
interface Way {
  tunnel: GcpChannel['tunnel'];
  clock: Clock;
}

export class SocketHold extends ChannelCredentials {
  readonly #inner: ChannelCredentials;
  readonly #open = new Set<Socket>();
  readonly #ready = new Set<Socket>();
  #bytesFromClosed = 0;
  #closed = 0;
  readonly #way: Way;
  readonly #onChange: () => void;
  #cut: boolean = false;

  /** `onChange` is called when a connection is opened, established or closed. */
  constructor(inner: ChannelCredentials, way: Way, onChange: () => void = () => undefined) {
    super();
    this.#inner = inner;
    this.#way = way;
    this.#onChange = onChange;
  }

  /** Whether a connection is established, including TLS. */
  get connected(): boolean {
    return this.#ready.size > 0;
  }

  /** The phase of the connection, for errors. */
  get phase(): 'dns or connect' | 'tls' | 'answer' {
    if (this.connected) return 'answer';
    return this.#open.size > 0 ? 'tls' : 'dns or connect';
  }

  /** Total bytes received: distinguishes a slow peer from a silent one. */
  get bytesReceived(): number {
    let bytes = this.#bytesFromClosed;
    for (const socket of this.#open) bytes += socket.bytesRead;
    return bytes;
  }

  /** Connections that have ended so far. */
  get closed(): number {
    return this.#closed;
  }

  /** Ends every connection, including those still connecting. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#open) socket.destroy();
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return other === this;
  }

  override _createSecureConnector(
    ...[target, options, call]: Parameters<ChannelCredentials['_createSecureConnector']>
  ): ReturnType<ChannelCredentials['_createSecureConnector']> {
    const inner = this.#inner._createSecureConnector(target, options, call);
    return {
      connect: async (socket) => {
        this.#hold(socket);
        const result = await inner.connect(await this.#reach(socket));
        if (socket.destroyed) return result;
        this.#ready.add(socket);
        this.#onChange();
        return result;
      },
      waitForReady: () => inner.waitForReady(),
      getCallCredentials: (): CallCredentials => inner.getCallCredentials(),
      destroy: () => inner.destroy(),
    };
  }

  #reach(socket: Socket): Promise<Socket> {
    const { tunnel, clock } = this.#way;
    return tunnel ? openTunnel({ ...tunnel, socket, clock }) : Promise.resolve(socket);
  }

  #hold(socket: Socket): void {
    if (this.#cut) {
      socket.destroy();
      return;
    }
    this.#open.add(socket);
    this.#onChange();
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#closed += 1;
      this.#ready.delete(socket);
      this.#bytesFromClosed += socket.bytesRead;
      this.#onChange();
    });
  }
}
