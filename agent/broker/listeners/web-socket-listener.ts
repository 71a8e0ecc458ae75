/**
 * MQTT over WebSocket (MQTT 3.1.1 section 6). Before CONNECT a message has the bound of a TCP client's first
 * packet. A browser sends the page that opened the connection as `Origin` (RFC 6455 section 10.2); pages of
 * origins that are not listed are refused, so that no page that a person of the plant visits can talk to the
 * broker. Other clients send no Origin, or that of the address that they connect to.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { TokenBucket } from '../../../shared/token-bucket.ts';
import { afterInput, CONNECT_BYTES_MAX, TCP_OPTIONS } from './connect-deadline.ts';
import type { OnConnection } from './on-connection.ts';
import { isOriginAllowed } from './origin.ts';
import { FrameCounter } from './web-socket-frames.ts';

/** A WebSocket message may hold several packets, or parts of them. */
const MESSAGE_SLACK_BYTES = 65_536;
/** Of one message. Clients cut a large message into fragments of some kilobytes. */
const FRAGMENTS_MAX = 1024;
const BURST_SECONDS = 2;
/** Some clients write each field of a packet as a message of its own: MQTT.js five for a PUBLISH. */
const FRAMES_PER_PACKET = 4;

export interface WebSocketParts {
  maxPacketBytes: number;
  /** Frames of a client in a second that bring no bytes: ping, pong and empty messages. 0: no limit. */
  maxPacketRate: number;
  /** With {@link maxPacketRate}: four small frames for each of both in a second; 0: no limit. */
  maxPublishRate: number;
  /** Origins of pages that may connect, such as `https://hmi.example.com`. */
  origins: readonly string[];
  clock: Clock;
  onConnection: OnConnection;
  /** Whether CONNECT has not come yet. */
  isPending(socket: Socket): boolean;
  onRefused(reason: 'origin' | 'packet-too-large' | 'packet-rate', address: string, problem: string): void;
}

export function webSocketServer(parts: WebSocketParts): Server {
  const { maxPacketBytes, origins, onConnection, onRefused } = parts;
  const server = createServer(TCP_OPTIONS, (_request, response) =>
    response.writeHead(426, { connection: 'close' }).end('MQTT over WebSocket only\n'),
  );
  const sockets = new WebSocketServer({
    server,
    maxPayload: maxPacketBytes + MESSAGE_SLACK_BYTES,
    maxFragments: FRAGMENTS_MAX,
    // [MQTT-6.0.0-3] [MQTT-6.0.0-4]; clients of MQTT 3.1 offer "mqttv3.1".
    handleProtocols: (offered) => ['mqtt', 'mqttv3.1'].find((protocol) => offered.has(protocol)) ?? false,
    verifyClient: ({ origin, req }: { origin: string | undefined; req: IncomingMessage }) => {
      if (isOriginAllowed(origin, req.headers.host, origins)) return true;
      onRefused('origin', req.socket.remoteAddress ?? '', `origin ${origin?.slice(0, 200)}`);
      return false;
    },
  });
  sockets.on('connection', (socket, request) => {
    const { socket: tcp } = request;
    limitBeforeConnect(socket, tcp, parts);
    limitEmptyFrames(socket, tcp, parts);
    limitSmallFrames(socket, tcp, parts);
    socket.on('message', (_data, isBinary) => {
      if (!isBinary) socket.terminate(); // [MQTT-6.0.0-1]
    });
    const arrival = { address: tcp.remoteAddress ?? '', auth: 'password', certificate: null } as const;
    onConnection(createWebSocketStream(socket), arrival, tcp, request);
  });
  return server;
}

/** ws collects the frames of a message before anybody sees its length. */
function limitBeforeConnect(socket: WebSocket, tcp: Socket, parts: WebSocketParts): void {
  let bytes = 0;
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes <= CONNECT_BYTES_MAX) return;
    // Packets may follow CONNECT at once, and the broker reads CONNECT after this chunk.
    afterInput(() => {
      if (!parts.isPending(tcp)) tcp.off('data', count);
      else if (socket.readyState === socket.OPEN) {
        parts.onRefused('packet-too-large', tcp.remoteAddress ?? '', `${bytes} bytes before CONNECT`);
        socket.terminate();
      }
    });
  };
  tcp.on('data', count);
}

function limitEmptyFrames(socket: WebSocket, tcp: Socket, parts: WebSocketParts): void {
  const { maxPacketRate, clock, onRefused } = parts;
  if (maxPacketRate === 0) return;
  const bucket = new TokenBucket(maxPacketRate, BURST_SECONDS, clock.monoMs());
  const took = (): void => {
    if (bucket.tryTake(clock.monoMs()) || socket.readyState !== socket.OPEN) return;
    onRefused('packet-rate', tcp.remoteAddress ?? '', 'frames without content');
    socket.terminate();
  };
  socket.on('ping', took);
  socket.on('pong', took);
  socket.on('message', (data) => {
    if ('length' in data && data.length === 0) took();
  });
}

/**
 * Small frames, fragments too, have a rate. Over it the connection is not read, as that of a TCP client over
 * its packet rate.
 */
function limitSmallFrames(socket: WebSocket, tcp: Socket, parts: WebSocketParts): void {
  const { maxPacketRate, maxPublishRate, clock, onRefused } = parts;
  if (maxPacketRate === 0 || maxPublishRate === 0) return;
  const perSecond = FRAMES_PER_PACKET * (maxPacketRate + maxPublishRate);
  const bucket = new TokenBucket(perSecond, BURST_SECONDS, clock.monoMs());
  const frames = new FrameCounter();
  let pause: Timer | null = null;
  const resume = socket.resume.bind(socket);
  // The stream resumes the socket whenever it is read.
  socket.resume = () => {
    if (pause === null) resume();
  };
  tcp.on('data', (chunk: Buffer) => {
    const waitMs = bucket.take(frames.take(chunk), clock.monoMs());
    if (waitMs === 0 || pause !== null || socket.readyState !== socket.OPEN) return;
    onRefused('packet-rate', tcp.remoteAddress ?? '', 'small frames');
    socket.pause();
    pause = clock.setTimer(Math.ceil(waitMs), () => {
      pause = null;
      socket.resume();
    });
  });
  tcp.once('close', () => pause?.cancel());
}
