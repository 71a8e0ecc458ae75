/** Where devices connect: plain TCP, TLS, or MQTT over WebSocket (MQTT 3.1.1 section 6). */
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { Clock } from '../../../shared/clock.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import type { Arrival } from '../access/gate.ts';
import type { ConnectLimits } from '../rates/connect-rate.ts';
import type { PublishLimits } from '../rates/publish-rate.ts';
import { type ConnectDeadlines, TCP_OPTIONS } from './connect-deadline.ts';
import { createTlsListener, type TlsOptions } from './tls-listener.ts';

interface Address {
  host: string;
  /** 0 takes a free one. */
  port: number;
}

export type ListenerOptions = Address & ({ type: 'tcp' | 'ws' } | { type: 'tls'; tls: TlsOptions });

export interface BrokerLimits extends ConnectLimits, PublishLimits {
  maxPacketBytes: number;
  /** From the accepted connection to CONNECT, on every kind of listener. */
  connectTimeoutMs: number;
  /** Over all listeners, with or without CONNECT. */
  maxConnections: number;
  /** Of one client. */
  maxSubscriptions: number;
  /** Of a topic name or filter, in UTF-8, and its levels. */
  maxTopicBytes: number;
  maxTopicLevels: number;
  /** That wait to be sent to one client. */
  maxUnsentBytes: number;
}

export interface Listener {
  address: ListenerOptions;
  /** Takes no more connections; resolves when those it took are over. */
  close(): Promise<void>;
}

/** `socket`: the TCP connection under `connection`. */
type OnConnection = (
  connection: Duplex,
  arrival: Omit<Arrival, 'anonymous'>,
  socket: Socket,
  request?: IncomingMessage,
) => void;

export interface ListenerParts {
  limits: BrokerLimits;
  clock: Clock;
  log: Logger;
  /** Asked once of each TCP connection, before anything is read from it or done for it; false ends it. */
  admits(address: string): boolean;
  /** Of all connections, from their acceptance to CONNECT. */
  deadlines: ConnectDeadlines;
  onConnection: OnConnection;
  /** A connection ended before it was one: its TLS handshake failed. */
  onRefused(address: string, problem: string): void;
}

/** A WebSocket message may hold several packets, or parts of them. */
const MESSAGE_SLACK_BYTES = 65_536;

/** Resolves when it listens; rejects when it cannot. */
export async function openListener(options: ListenerOptions, parts: ListenerParts): Promise<Listener> {
  const { server, end } = await createListener(options, parts);
  server.maxConnections = parts.limits.maxConnections;
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error): void => {
      end();
      reject(error);
    };
    server.once('error', failed);
    server.listen(options.port, options.host, () => {
      server.off('error', failed);
      // Without file descriptors, a connection is not accepted; those that are there go on.
      server.on('error', (error) =>
        parts.log.error({ event: 'broker.listener_error', error: errorText(error) }),
      );
      resolve();
    });
  });
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : options.port;
  return {
    address: { ...options, port },
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      end();
      return closed;
    },
  };
}

/** The server, and what ends those of its connections that never became the broker's. */
async function createListener(
  options: ListenerOptions,
  parts: ListenerParts,
): Promise<{ server: Server; end: () => void }> {
  const { limits, clock, log, onConnection, onRefused } = parts;
  switch (options.type) {
    case 'tcp':
      return { server: tcpServer(parts), end: () => undefined };
    case 'ws': {
      const server = webSocketServer(limits, onConnection);
      server.on('connection', (socket: Socket) => isAdmitted(socket, parts));
      // Those that asked for no WebSocket; the others are the broker's to end.
      return { server, end: () => server.closeAllConnections() };
    }
    case 'tls': {
      const { tls } = options;
      return createTlsListener({
        tls,
        clock,
        log,
        isAdmitted: (socket) => isAdmitted(socket, parts),
        onConnection: (connection, certificate, socket) => {
          const arrival = { address: socket.remoteAddress ?? '', auth: tls.auth, certificate };
          onConnection(connection, arrival, socket);
        },
        onRefused,
      });
    }
  }
}

function isAdmitted(socket: Socket, { admits, deadlines }: ListenerParts): boolean {
  const isTaken = admits(socket.remoteAddress ?? '');
  if (isTaken) deadlines.begin(socket);
  else socket.destroy();
  return isTaken;
}

function tcpServer(parts: ListenerParts): Server {
  return createTcpServer(TCP_OPTIONS, (socket) => {
    if (isAdmitted(socket, parts)) parts.onConnection(socket, withoutTls(socket), socket);
  });
}

function withoutTls({ remoteAddress = '' }: Socket): Omit<Arrival, 'anonymous'> {
  return { address: remoteAddress, auth: 'password', certificate: null };
}

function webSocketServer(limits: BrokerLimits, onConnection: OnConnection): HttpServer {
  const server = createHttpServer(TCP_OPTIONS, (_request, response) =>
    response.writeHead(426, { connection: 'close' }).end('MQTT over WebSocket only\n'),
  );
  const sockets = new WebSocketServer({
    server,
    maxPayload: limits.maxPacketBytes + MESSAGE_SLACK_BYTES,
    // [MQTT-6.0.0-3] [MQTT-6.0.0-4]; "mqttv3.1" is what clients of MQTT 3.1 offer.
    handleProtocols: (offered) => ['mqtt', 'mqttv3.1'].find((protocol) => offered.has(protocol)) ?? false,
  });
  sockets.on('connection', (socket, request) => {
    socket.on('message', (_data, isBinary) => {
      if (!isBinary) socket.terminate(); // [MQTT-6.0.0-1]
    });
    const { socket: tcp } = request;
    onConnection(createWebSocketStream(socket), withoutTls(tcp), tcp, request);
  });
  return server;
}
