/**
 * The TLS connection under the vendor's SDK. Its options have no place for a CA, nor for a socket; the one
 * seam they offer is the WebSocket constructor, which it uses as a plain stream of AMQP bytes. So here is a
 * "WebSocket" that is a TLS socket: same bytes, same port, but ours to give a CA to and to destroy, which is
 * what ends the SDK's waits (up to 60 s) at once.
 */
import { connect, type TLSSocket } from 'node:tls';

/** How long a peer that went away without a word is believed in: TCP probes after this much silence. */
const KEEPALIVE_MS = 30_000;

/** Given to the SDK as `webSocketConstructorOptions`; it hands them to every stream it makes. */
export interface ByteStreamOptions {
  host: string;
  port: number;
  /** PEM of the CA to trust instead of the system's. */
  ca: string | null;
  /** When aborted, streams are destroyed and no new ones come to life. */
  signal: AbortSignal;
  /** The stream is gone; `error` when it did not end by itself. */
  onClose: (error: Error | null) => void;
}

export class ByteStream {
  readonly url: string;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: Buffer }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: ((error: Error) => void) | null = null;
  readonly #socket: TLSSocket;

  constructor(url: string, _protocols: unknown, options: ByteStreamOptions) {
    const { host, port, ca, signal, onClose } = options;
    this.url = url;
    const socket = connect({ host, port, servername: host, ...(ca === null ? {} : { ca }) });
    this.#socket = socket;
    let failure: Error | null = null;
    const abort = (): void => {
      socket.destroy();
    };
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
    socket.on('secureConnect', () => this.onopen?.());
    socket.on('data', (data) => this.onmessage?.({ data }));
    socket.on('error', (error) => {
      failure = error;
      this.onerror?.(error);
    });
    socket.on('close', () => {
      signal.removeEventListener('abort', abort);
      this.onclose?.();
      onClose(failure);
    });
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  }

  send(data: Uint8Array): void {
    if (!this.#socket.destroyed) this.#socket.write(data);
  }

  close(): void {
    this.#socket.end();
  }
}
