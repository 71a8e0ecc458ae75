/** How far a connection has come that is being made, by the events of its socket. */
import { isIP, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Phase } from './publisher.ts';

/**
 * Asked for the phase, it says the one that the socket is in: from the look-up of `host` until it waits for
 * the provider to let us in. `socket` is just made; of one that is no socket (a WebSocket) nothing is seen.
 */
export function connectionPhase(socket: unknown, host: string): () => Phase {
  let phase: Phase = 'connect';
  if (socket instanceof Socket) {
    if (isIP(host) === 0) phase = 'dns';
    socket.once('lookup', () => {
      phase = 'connect';
    });
    socket.once('connect', () => {
      phase = socket instanceof TLSSocket ? 'tls' : 'login';
    });
    socket.once('secureConnect', () => {
      phase = 'login';
    });
  }
  return () => phase;
}
