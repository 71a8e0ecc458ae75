/**
 * A connection through an HTTP proxy (RFC 9110, 9.3.6: CONNECT). By Node's own HTTP client: the agents that
 * are on the registry wait without a limit for a proxy that accepts and says nothing.
 */
import { type ClientRequest, request as httpRequest, STATUS_CODES } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import type { Clock } from '../clock.ts';
import { errorText } from '../log.ts';
import type { Origin } from './local-address.ts';
import { type HttpProxy, proxyText, type Target } from './proxy.ts';

/** From the first SYN to the proxy until its answer. */
const TUNNEL_MS = 10_000;

/** No tunnel: `code` is the socket's, or EPROXY for an answer that is none. Holds no secret. */
class TunnelError extends Error {
  readonly code: string;

  constructor(proxy: HttpProxy, problem: string, code: string) {
    super(`proxy ${proxyText(proxy)}: ${problem}`);
    this.code = code;
  }
}

export interface TunnelOptions {
  proxy: HttpProxy;
  target: Pick<Target, 'host' | 'port'>;
  origin?: Origin;
  /** A connection to the proxy that is there already. */
  socket?: Socket;
  clock: Clock;
}

/** Resolves with a socket whose other end is the target. Rejects with a TunnelError, after 10 s at most. */
export function openTunnel({ proxy, target, origin, socket, clock }: TunnelOptions): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const name = `${isIP(target.host) === 6 ? `[${target.host}]` : target.host}:${target.port}`;
  const open = proxy.isSecure ? httpsRequest : httpRequest;
  const asking = open({
    host: proxy.host,
    port: proxy.port,
    ...(proxy.isSecure && isIP(proxy.host) === 0 && { servername: proxy.host }),
    ...origin,
    ...(socket ? { createConnection: () => socketTo(proxy, socket) } : { agent: false }),
    method: 'CONNECT',
    path: name,
    headers: {
      host: name,
      ...(proxy.authorization !== null && { 'proxy-authorization': proxy.authorization }),
    },
  });
  const fail = (problem: string, code: string): void => {
    asking.destroy();
    reject(new TunnelError(proxy, problem, code));
  };
  const timer = clock.setTimer(TUNNEL_MS, () => fail(`no answer within ${TUNNEL_MS / 1000} s`, 'ETIMEDOUT'));
  onAnswer(asking, resolve, fail);
  asking.end();
  return promise.finally(() => timer.cancel());
}

function socketTo({ isSecure, host }: HttpProxy, socket: Socket): Socket {
  if (!isSecure) return socket;
  return tlsConnect({ socket, host, ...(isIP(host) === 0 && { servername: host }) });
}

function onAnswer(
  asking: ClientRequest,
  opened: (socket: Socket) => void,
  fail: (problem: string, code: string) => void,
): void {
  const refused = (status = 0): void =>
    fail(`HTTP ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd(), 'EPROXY');
  asking.once('connect', ({ statusCode = 0 }, socket: Socket, head: Buffer) => {
    if (statusCode < 200 || statusCode > 299) {
      socket.destroy();
      return refused(statusCode);
    }
    if (head.length > 0) socket.unshift(head);
    opened(socket);
  });
  asking.once('response', (answer) => refused(answer.statusCode));
  asking.on('error', (error) => {
    const code: unknown = Reflect.get(error, 'code');
    fail(errorText(error), typeof code === 'string' ? code : 'EPROXY');
  });
}
