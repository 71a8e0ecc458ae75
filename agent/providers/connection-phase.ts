/** The phase of a connection that is being opened, from the events of its socket. */
import { isIP, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Phase } from './publisher.ts';

/**
 * Returns a function that tells the present phase, from the look-up of `host` to the wait for the provider's
 * login answer. `socket` must be new. For another object than a Socket (a WebSocket) the phases are not
 * visible.
 */
export function connectionPhase(socket: unknown, host: string): () => Phase {
  let phase: Phase = 'connect';
  if (socket instanceof Socket) {
    if (isIP(host) === 0) phase = 'dns';
    // Within a tunnel: its connection stands.
    if (socket instanceof TLSSocket && !socket.connecting) phase = 'tls';
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
