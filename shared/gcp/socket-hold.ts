/**
 * Channel credentials that keep references to their sockets, because gRPC does not close them by itself: a
 * channel on a black-holed connection, or in a TLS handshake without an answer, would stay for minutes, and a
 * closed channel waits for its calls.
 */
import type { Socket } from 'node:net';
import { type CallCredentials, ChannelCredentials } from '@grpc/grpc-js';

export class SocketHold extends ChannelCredentials {
  readonly #inner: ChannelCredentials;
  readonly #open = new Set<Socket>();
  readonly #ready = new Set<Socket>();
  #bytesFromClosed = 0;
  readonly #onChange: () => void;
  #cut: boolean = false;

  /** `onChange` is called when a connection is opened, established or closed. */
  constructor(inner: ChannelCredentials, onChange: () => void = () => undefined) {
    super();
    this.#inner = inner;
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
        const result = await inner.connect(socket);
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

  #hold(socket: Socket): void {
    if (this.#cut) {
      socket.destroy();
      return;
    }
    this.#open.add(socket);
    this.#onChange();
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#ready.delete(socket);
      this.#bytesFromClosed += socket.bytesRead;
      this.#onChange();
    });
  }
}
