/** A listener that devices connect to: plain TCP, TLS, or MQTT over WebSocket (MQTT 3.1.1 section 6). */
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../../../shared/clock.ts';
import type { ConnectLimits } from '../../../shared/connect-rate.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import type { DeviceBounds } from '../rates/device-limits.ts';
import type { PublishLimits } from '../rates/publish-rate.ts';
import type { RefusalReason } from '../refusals.ts';
import { type ConnectDeadlines, TCP_OPTIONS } from './connect-deadline.ts';
import type { OnConnection } from './on-connection.ts';
import { createTlsListener, type TlsOptions } from './tls-listener.ts';
import { webSocketServer } from './web-socket-listener.ts';

interface Address {
  host: string;
  /** 0 lets the system choose a free port. */
  port: number;
}

export type ListenerOptions = Address &
  ({ type: 'tcp' } | { type: 'ws'; origins?: readonly string[] } | { type: 'tls'; tls: TlsOptions });

export interface BrokerLimits extends ConnectLimits, PublishLimits, DeviceBounds {
  maxPacketBytes: number;
  /** From the accepted connection to CONNECT, for every type of listener. */
  connectTimeoutMs: number;
  /** Over all listeners, before and after CONNECT. */
  maxConnections: number;
  /** Per client. */
  maxSubscriptions: number;
  /** In UTF-8 bytes, of a topic name or filter. */
  maxTopicBytes: number;
  maxTopicLevels: number;
  /** Packets other than PUBLISH that one client sends in a second; 0: no limit. */
  maxPacketRate: number;
  /** Bytes that wait to be sent to one client. */
  maxUnsentBytes: number;
}

export interface Listener {
  address: ListenerOptions;
  /** Accepts no more connections; resolves when the accepted ones have ended. */
  close(): Promise<void>;
}

export interface ListenerParts {
  limits: BrokerLimits;
  clock: Clock;
  log: Logger;
  /** Called once for each TCP connection, before any byte is read or written; false ends the connection. */
  admits(address: string): boolean;
  /** Deadlines of all connections, from acceptance to CONNECT. */
  deadlines: ConnectDeadlines;
  onConnection: OnConnection;
  /** A connection ended: its TLS handshake failed, or WebSocket lets it not in. */
  onRefused(reason: RefusalReason, address: string, problem: string): void;
}

/** Resolves when the listener is listening; rejects when it cannot listen. */
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
      // Without free file descriptors, new connections are not accepted; existing ones go on.
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

/** The server, and a function that ends its connections that the broker never received. */
async function createListener(
  options: ListenerOptions,
  parts: ListenerParts,
): Promise<{ server: Server; end: () => void }> {
  const { limits, clock, log, onConnection, onRefused } = parts;
  switch (options.type) {
    case 'tcp':
      return { server: tcpServer(parts), end: () => undefined };
    case 'ws': {
      const { maxPacketBytes, maxPacketRate, maxPublishRate } = limits;
      const server = webSocketServer({
        maxPacketBytes,
        maxPacketRate,
        maxPublishRate,
        origins: options.origins ?? [],
        clock,
        onConnection,
        isPending: (socket) => parts.deadlines.isPending(socket),
        onRefused,
      });
      server.on('connection', (socket: Socket) => isAdmitted(socket, parts));
      // HTTP connections without a WebSocket upgrade; the broker ends the others.
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
        onRefused: (address, problem) => onRefused('certificate', address, problem),
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
    const arrival = { address: socket.remoteAddress ?? '', auth: 'password', certificate: null } as const;
    if (isAdmitted(socket, parts)) parts.onConnection(socket, arrival, socket);
  });
}
