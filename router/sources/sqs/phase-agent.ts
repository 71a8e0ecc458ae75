/**
 * An HTTPS agent that tracks the phase of its connections, so that an error can name the phase that got no
 * answer, and a slow answer is distinct from no answer.
 */
import type { AgentOptions, RequestOptions } from 'node:https';
import type { Socket } from 'node:net';
import { Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Network, SecureAgent } from '../../../shared/network/agents.ts';

/** `answer`: the connection is established, and the response is outstanding. */
export type Phase = 'dns' | 'connect' | 'tls' | 'answer';

export class PhaseAgent extends SecureAgent {
  readonly #open = new Set<Socket>();
  readonly #pending = new Map<Socket, Phase>();
  /** Connections that a proxy has not made yet. */
  #tunnels = 0;
  #bytesFromClosed = 0;

  constructor(options: AgentOptions, network: Network) {
    super({ ...options, keepAlive: true }, network);
  }

  /** The phase of the oldest connection in the making; `answer` when there is none. */
  get phase(): Phase {
    const [phase = this.#tunnels > 0 ? 'connect' : 'answer'] = this.#pending.values();
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
    const following = (error: Error | null, stream: Duplex): void => {
      this.#tunnels -= 1;
      if (stream instanceof NetSocket) this.#follow(stream, 'tls');
      callback?.(error, stream);
    };
    const socket = super.createConnection(options, following);
    if (socket instanceof NetSocket) this.#follow(socket, 'dns');
    else this.#tunnels += 1;
    return socket;
  }

  #follow(socket: Socket, phase: Phase): void {
    this.#open.add(socket);
    this.#pending.set(socket, phase);
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
