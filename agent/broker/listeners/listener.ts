/** Where devices connect: plain TCP, TLS, or MQTT over WebSocket (MQTT 3.1.1 section 6). */
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import type { Arrival } from '../access/gate.ts';
import type { ConnectLimits } from '../rates/connect-rate.ts';
import type { PublishLimits } from '../rates/publish-rate.ts';
import { createTlsListener, type TlsOptions } from './tls-listener.ts';

interface Address {
  host: string;
  /** 0 takes a free one. */
  port: number;
}

export type ListenerOptions = Address & ({ type: 'tcp' | 'ws' } | { type: 'tls'; tls: TlsOptions });

export interface BrokerLimits extends ConnectLimits, PublishLimits {
  maxPacketBytes: number;
  /** From connection to CONNECT. */
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

type OnConnection = (
  connection: Duplex,
  arrival: Omit<Arrival, 'anonymous'>,
  request?: IncomingMessage,
) => void;

export interface ListenerParts {
  limits: BrokerLimits;
  clock: Clock;
  log: Logger;
  /** Asked once of each TCP connection, before anything is read from it or done for it; false ends it. */
  admits(address: string): boolean;
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
  { limits, clock, log, admits, onConnection, onRefused }: ListenerParts,
): Promise<{ server: Server; end: () => void }> {
  switch (options.type) {
    case 'tcp':
      return { server: tcpServer(admits, onConnection), end: () => undefined };
    case 'ws': {
      const server = webSocketServer(limits, onConnection);
      server.on('connection', (socket: Socket) => isAdmitted(socket, admits));
      // Those that asked for no WebSocket; the others are the broker's to end.
      return { server, end: () => server.closeAllConnections() };
    }
    case 'tls': {
      const { tls } = options;
      return createTlsListener({
        tls,
        handshakeTimeoutMs: limits.connectTimeoutMs,
        clock,
        log,
        isAdmitted: (socket) => isAdmitted(socket, admits),
        onConnection: (socket, certificate) =>
          onConnection(socket, { address: socket.remoteAddress ?? '', auth: tls.auth, certificate }),
        onRefused,
      });
    }
  }
}

function isAdmitted(socket: Socket, admits: ListenerParts['admits']): boolean {
  const isTaken = admits(socket.remoteAddress ?? '');
  if (!isTaken) socket.destroy();
  return isTaken;
}

function tcpServer(admits: ListenerParts['admits'], onConnection: OnConnection): Server {
  return createTcpServer({ noDelay: true }, (socket) => {
    if (isAdmitted(socket, admits)) onConnection(socket, withoutTls(socket));
  });
}

function withoutTls({ remoteAddress = '' }: Socket): Omit<Arrival, 'anonymous'> {
  return { address: remoteAddress, auth: 'password', certificate: null };
}

function webSocketServer(limits: BrokerLimits, onConnection: OnConnection): HttpServer {
  const server = createHttpServer(
    { headersTimeout: limits.connectTimeoutMs, connectionsCheckingInterval: limits.connectTimeoutMs },
    (_request, response) =>
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
    onConnection(createWebSocketStream(socket), withoutTls(request.socket), request);
  });
  return server;
}
