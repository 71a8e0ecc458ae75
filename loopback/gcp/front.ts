/**
 * The listener for clients: TLS (or plain TCP) outside, the in-process gRPC server inside. It can do what a
 * gRPC server cannot: cut one connection in the middle of a call, and answer HTTP/2 with the HTTP/1.1 error
 * page of a proxy, even on open connections.
 */
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Service } from '../../shared/service.ts';
import type { KeyAndCertificate } from '../ca.ts';

const PAGE = '<html><body><h1>503 Service Unavailable</h1></body></html>';
const HTML_503 = `HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/html\r\ncontent-length: ${PAGE.length}\r\nconnection: close\r\n\r\n${PAGE}`;

export class Front implements Service {
  readonly #targetPort: number;
  readonly #certificate: KeyAndCertificate | null;
  readonly #sockets = new Set<Socket>();
  /** By the local port of the inner socket: the peer's port for the gRPC server. */
  readonly #byInnerPort = new Map<number, Socket>();
  #server: Server | null = null;
  #port: number;
  /** The answer to every request; null to forward bytes. */
  #page: string | null = null;

  /** `port` 0 takes a free port at `start`. Without a certificate it listens in plaintext. */
  constructor(options: { targetPort: number; port: number; certificate: KeyAndCertificate | null }) {
    this.#targetPort = options.targetPort;
    this.#port = options.port;
    this.#certificate = options.certificate;
  }

  get port(): number {
    return this.#port;
  }

  start(): Promise<void> {
    const server = this.#certificate
      ? createTlsServer({ ...this.#certificate, ALPNProtocols: ['h2'] }, (socket) => this.#accept(socket))
      : createServer((socket) => this.#accept(socket));
    // A client may abort its handshake.
    server.on('tlsClientError', (_error, socket) => socket.destroy());
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

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (!server) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  setHtml503(on: boolean): void {
    this.#page = on ? HTML_503 : null;
  }

  /** Whether this listener carries the connection with the gRPC server's `peer` name ("127.0.0.1:port"). */
  carries(peer: string): boolean {
    return this.#byInnerPort.has(portOf(peer));
  }

  /** Cuts that connection without sending another byte. */
  cut(peer: string): void {
    this.#byInnerPort.get(portOf(peer))?.destroy();
  }

  #accept(outer: Socket): void {
    const inner = tcpConnect({ port: this.#targetPort, host: '127.0.0.1' });
    this.#sockets.add(outer);
    outer.setNoDelay(true);
    inner.setNoDelay(true);
    let innerPort = 0;
    inner.once('connect', () => {
      innerPort = inner.localPort ?? 0;
      this.#byInnerPort.set(innerPort, outer);
    });
    outer.on('data', (chunk) => {
      if (this.#page !== null) {
        inner.destroy();
        outer.end(this.#page);
      } else if (!inner.write(chunk)) {
        outer.pause();
        inner.once('drain', () => outer.resume());
      }
    });
    inner.on('data', (chunk) => {
      if (!outer.writable || outer.write(chunk)) return;
      inner.pause();
      outer.once('drain', () => inner.resume());
    });
    inner.on('end', () => outer.end());
    inner.on('error', () => outer.destroy());
    outer.on('error', () => inner.destroy());
    outer.on('close', () => {
      this.#sockets.delete(outer);
      this.#byInnerPort.delete(innerPort);
      inner.destroy();
    });
  }
}

function portOf(peer: string): number {
  return Number(peer.slice(peer.lastIndexOf(':') + 1));
}
