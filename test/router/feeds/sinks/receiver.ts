/** The receiver of a feed's webhook: a real HTTP(S) server that keeps every request and answers as told. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';

export interface Posted {
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** `null`: no answer at all. */
export type Answer = { status: number; headers?: Record<string, string>; body?: Buffer } | null;

export interface Receiver {
  port: number;
  posted: Posted[];
}

/** `answer` is asked for each request, counted from 0. */
export async function receiver(
  t: Test,
  answer: (nth: number, body: string) => Answer,
  tls?: { cert: string; key: string },
): Promise<Receiver> {
  const posted: Posted[] = [];
  const listener: RequestListener = async (request, response) => {
    const body = await text(request);
    posted.push({ url: request.url ?? '', headers: request.headers, body });
    const told = answer(posted.length - 1, body);
    if (told !== null) response.writeHead(told.status, told.headers).end(told.body);
  };
  const server: Server = tls ? createTlsServer(tls, listener) : createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return { port: typeof address === 'object' && address ? address.port : 0, posted };
}
