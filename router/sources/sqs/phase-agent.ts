/**
 * An HTTPS agent that tracks the phase of its connections, so that an error can name the phase that got no
 * answer, and a slow answer is distinct from no answer.
 */
import { Agent, type AgentOptions, type RequestOptions } from 'node:https';
import type { Socket } from 'node:net';
import { Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';

/** `answer`: the connection is established, and the response is outstanding. */
export type Phase = 'dns' | 'connect' | 'tls' | 'answer';

export class PhaseAgent extends Agent {
  readonly #open = new Set<Socket>();
  readonly #pending = new Map<Socket, Phase>();
  #bytesFromClosed = 0;

  constructor(options: AgentOptions) {
    super({ ...options, keepAlive: true });
  }

  /** The phase of the oldest connection in the making; `answer` when there is none. */
  get phase(): Phase {
    const [phase = 'answer'] = this.#pending.values();
    return phase;
  }

  /** Total bytes received, over all connections. */
  get bytesRead(): number {
    let bytes = this.#bytesFromClosed;
    for (const socket of this.#open) bytes += socket.bytesRead;
    return bytes;
  }

  override createConnection(
    options: RequestOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    const socket = super.createConnection(options, callback);
    if (socket instanceof NetSocket) this.#follow(socket);
    return socket;
  }

  #follow(socket: Socket): void {
    this.#open.add(socket);
    this.#pending.set(socket, 'dns');
    socket.once('lookup', (error: Error | null) => {
      if (error === null) this.#pending.set(socket, 'connect');
    });
    socket.once('connect', () => this.#pending.set(socket, 'tls'));
    socket.once('secureConnect', () => this.#pending.delete(socket));
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#pending.delete(socket);
      this.#bytesFromClosed += socket.bytesRead;
    });
  }
}
