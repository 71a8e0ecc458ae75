/**
 * The TLS connection under the vendor's SDK. The SDK has no option for a CA or a socket. It accepts only a
 * WebSocket constructor, and uses the WebSocket as a plain stream of AMQP bytes. This class is that
 * "WebSocket": a TLS socket with the same bytes on the same port. We set its CA, and destroying it ends the
 * SDK's waits (up to 60 s) at once.
 */
import { connect, type TLSSocket } from 'node:tls';

/** TCP keep-alive probes start after this much silence, to detect a peer that vanished. */
const KEEPALIVE_MS = 30_000;

/** Passed to the SDK as `webSocketConstructorOptions`; the SDK passes it to every stream that it makes. */
export interface ByteStreamOptions {
  host: string;
  port: number;
  /** PEM of the CA to trust instead of the system's. */
  ca: string | null;
  /** Aborting destroys all streams and prevents new ones. */
  signal: AbortSignal;
  /** Called when the stream has closed; `error` is set unless the stream ended by itself. */
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
