import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Arrival } from '../access/gate.ts';

/** `socket`: the TCP connection under `connection`. */
export type OnConnection = (
  connection: Duplex,
  arrival: Omit<Arrival, 'anonymous'>,
  socket: Socket,
  request?: IncomingMessage,
) => void;
