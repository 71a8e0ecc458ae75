/**
 * An HTTPS agent that remembers which errors came before the TLS handshake was over. Both "the network cut us
 * off while connecting" and "while the publish was on its way" are ECONNRESET; only the second may have been
 * delivered.
 */
import { Agent, type AgentOptions, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';

export class HandshakeAgent extends Agent {
  readonly #early = new WeakSet<Error>();

  constructor(options: AgentOptions) {
    super({ ...options, keepAlive: true });
  }

  /** Whether this very error ended a connection before anything could be sent over it. */
  isBeforeSending(error: unknown): boolean {
    return error instanceof Error && this.#early.has(error);
  }

  override createConnection(
    options: RequestOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    const socket = super.createConnection(options, callback);
    const remember = (error: Error): void => {
      this.#early.add(error);
    };
    socket?.once('error', remember);
    socket?.once('secureConnect', () => socket.off('error', remember));
    return socket;
  }
}
