/**
 * The connection under the vendor's SDK. The SDK has no option for a CA, a socket, a proxy or a local
 * address. It accepts only a WebSocket constructor, and uses the WebSocket as a plain stream of AMQP bytes.
 * This class is that "WebSocket": the same bytes in TLS on 5671, or in a real WebSocket on 443, which is what
 * goes through a proxy. We set its CA, and destroying it ends the SDK's waits (up to 60 s) at once.
 */
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { createWebSocketStream, WebSocket } from 'ws';
import type { Clock } from '../../../shared/clock.ts';
import { SecureAgent } from '../../../shared/network/agents.ts';
import { originOf } from '../../../shared/network/local-address.ts';
import type { NetworkAccess } from '../../../shared/network/options.ts';

/** TCP keep-alive probes start after this much silence, to detect a peer that vanished. */
const KEEPALIVE_MS = 30_000;
/** From the first SYN to the answer of the upgrade; a session has less. */
const UPGRADE_MS = 10_000;
/** "AMQP WebSocket Binding", draft of OASIS: the name under which the service knows it. */
const SUBPROTOCOL = 'AMQPWSB10';
const PATH = '/$servicebus/websocket';

/** Passed to the SDK as `webSocketConstructorOptions`; the SDK passes it to every stream that it makes. */
export interface ByteStreamOptions {
  host: string;
  port: number;
  /** PEM of the CA to trust instead of the system's. */
  ca: string | null;
  isWebSocket: boolean;
  network: NetworkAccess;
  clock: Clock;
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
  readonly #stream: Duplex;

  constructor(url: string, _protocols: unknown, options: ByteStreamOptions) {
    const { isWebSocket, signal, onClose } = options;
    this.url = url;
    const opened = (): void => this.onopen?.();
    const stream = isWebSocket ? overWebSocket(options, opened) : overTls(options, opened);
    this.#stream = stream;
    let failure: Error | null = null;
    const abort = (): void => {
      stream.destroy();
    };
    stream.on('data', (data) => this.onmessage?.({ data }));
    stream.on('error', (error) => {
      failure = error;
      this.onerror?.(error);
    });
    stream.on('close', () => {
      signal.removeEventListener('abort', abort);
      this.onclose?.();
      onClose(failure);
    });
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  }

  send(data: Uint8Array): void {
    if (!this.#stream.destroyed) this.#stream.write(data);
  }

  close(): void {
    this.#stream.end();
  }
}

/** Throws when the interface of `local_address` has no address. */
function overTls({ host, port, ca, network }: ByteStreamOptions, opened: () => void): Duplex {
  const origin = originOf(network.local_address);
  const socket = connect({ host, port, servername: host, ...origin, ...(ca !== null && { ca }) });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEPALIVE_MS);
  socket.on('secureConnect', opened);
  return socket;
}

function overWebSocket({ host, port, ca, network, clock }: ByteStreamOptions, opened: () => void): Duplex {
  const socket = new WebSocket(`wss://${host}:${port}${PATH}`, SUBPROTOCOL, {
    agent: new SecureAgent(ca === null ? {} : { ca }, { access: network, clock }),
    handshakeTimeout: UPGRADE_MS,
    perMessageDeflate: false,
  });
  socket.on('open', opened);
  return createWebSocketStream(socket);
}
