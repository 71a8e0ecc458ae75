/** Where devices connect: plain TCP, or MQTT over WebSocket (MQTT 3.1.1 section 6). */
import { createServer as createHttpServer, Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createTcpServer, type Server } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';

export interface ListenerOptions {
  type: 'tcp' | 'ws';
  host: string;
  /** 0 takes a free one. */
  port: number;
}

export interface BrokerLimits {
  maxPacketBytes: number;
  /** From connection to CONNECT. */
  connectTimeoutMs: number;
  /** Over all listeners, with or without CONNECT. */
  maxConnections: number;
}

export interface Listener {
  address: ListenerOptions;
  /** Takes no more connections; resolves when those it took are over. */
  close(): Promise<void>;
}

type OnConnection = (connection: Duplex, request?: IncomingMessage) => void;

/** A WebSocket message may hold several packets, or parts of them. */
const MESSAGE_SLACK_BYTES = 65_536;

/** Resolves when it listens; rejects when it cannot. */
export async function openListener(
  options: ListenerOptions,
  limits: BrokerLimits,
  onConnection: OnConnection,
): Promise<Listener> {
  const server = options.type === 'tcp' ? tcpServer(onConnection) : webSocketServer(limits, onConnection);
  server.maxConnections = limits.maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : options.port;
  return {
    address: { ...options, port },
    close: () => closed(server),
  };
}

function closed(server: Server): Promise<void> {
  const over = new Promise<void>((resolve) => server.close(() => resolve()));
  // Those that asked for no WebSocket; the others are the broker's to end.
  if (server instanceof HttpServer) server.closeAllConnections();
  return over;
}

function tcpServer(onConnection: OnConnection): Server {
  return createTcpServer({ noDelay: true }, (socket) => onConnection(socket));
}

function webSocketServer(limits: BrokerLimits, onConnection: OnConnection): Server {
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
    onConnection(createWebSocketStream(socket), request);
  });
  return server;
}
