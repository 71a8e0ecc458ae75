/**
 * How clients reach the attacked listener. Behind TLS and WebSocket, a part of the hostile connections does
 * not keep to the layer below MQTT either: what it sends comes without the handshake, or after it and not as
 * the layer's records and frames.
 */
import { connect as connectSocket, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { IClientOptions } from 'mqtt';
import { createWebSocketStream, WebSocket } from 'ws';
import type { CertificateAuthority, KeyAndCertificate } from '../../loopback/ca.ts';

export const TRANSPORTS = ['tcp', 'tls', 'ws'] as const;
export type TransportName = (typeof TRANSPORTS)[number];

/** Behind TLS no client is anonymous: hostile clients are this device, each with its own client id. */
export const HOSTILE_DEVICE = 'fuzz';
export const GOOD_DEVICE = 'good';
/** Of so many connections, one has no handshake, and one breaks the layer after it. */
const BROKEN_EVERY = 10;
const WITHOUT_HANDSHAKE = 3;
const AFTER_HANDSHAKE = 7;

export interface Line {
  /** For packets. */
  stream: Duplex;
  /** The socket under the stream; the stream ends with it. */
  socket: Socket;
}

export interface Transport {
  name: TransportName;
  /** Of hostile connection `number`; resolves when it may send, or is over. */
  open(number: number): Promise<Line>;
  /** For mqtt.js, of well-behaved clients. */
  url: string;
  options: IClientOptions;
}

/** Certificates of both sides of TLS. */
export interface Identities {
  ca: CertificateAuthority;
  hostile: KeyAndCertificate;
  good: KeyAndCertificate;
}

export function transportTo(name: TransportName, port: number, { ca, hostile, good }: Identities): Transport {
  const schemes = { tcp: 'mqtt', tls: 'mqtts', ws: 'ws' };
  const tls = { host: 'localhost', servername: 'localhost', ca: ca.ca };
  return {
    name,
    url: `${schemes[name]}://localhost:${port}`,
    options: name === 'tls' ? { ...tls, ...good } : {},
    async open(number) {
      const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true });
      socket.on('error', () => undefined); // A reset is one way for a connection to end.
      const place = number % BROKEN_EVERY;
      if (name === 'tcp' || place === WITHOUT_HANDSHAKE) return { stream: socket, socket };
      const stream =
        name === 'tls' ? connectTls({ ...tls, ...hostile, socket }) : await webSocket(port, socket);
      stream.on('error', () => undefined); // The same, told by the layer above.
      if (place !== AFTER_HANDSHAKE) return { stream, socket };
      if (name === 'tls') await secured(stream, socket);
      return { stream: socket, socket };
    },
  };
}

/** Resolves when it is open, or never will be. */
function webSocket(port: number, socket: Socket): Promise<Duplex> {
  const client = new WebSocket(`ws://127.0.0.1:${port}/`, 'mqtt', { createConnection: () => socket });
  const stream = createWebSocketStream(client);
  stream.on('error', () => undefined); // Also while it opens: a server that is late ends it.
  return new Promise((resolve) => {
    for (const event of ['open', 'error', 'close']) client.once(event, () => resolve(stream));
  });
}

function secured(stream: Duplex, socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    stream.once('secureConnect', () => resolve());
    socket.once('close', () => resolve());
  });
}
