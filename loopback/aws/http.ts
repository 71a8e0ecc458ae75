/**
 * HTTPS as both AWS endpoints speak it: body first, then the signature, then the operation, and a `Date` on
 * every answer.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type Clock, dateOf } from '../../shared/clock.ts';
import type { KeyAndCertificate } from '../ca.ts';

export interface AwsRequest {
  method: string;
  /** Path and query as they stand in the request line. */
  target: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** Aborts when the client has gone. */
  gone: AbortSignal;
}

/** `cut`: the connection ends without an answer. */
export type AwsAnswer = { status: number; headers?: Record<string, string>; body: string } | 'cut';

/** Larger than anything AWS takes, so that "too large" is answered and not cut. */
const BODY_BYTES_MAX = 4 * 2 ** 20;
/**
 * Longer than a client's pause between requests, as at AWS: a reused connection must not end under a request.
 */
const KEEP_ALIVE_MS = 60_000;

/** A server that answers every request with `answer`. It does not listen yet. */
export function createAwsServer(
  tls: KeyAndCertificate,
  clock: Clock,
  answer: (request: AwsRequest) => Promise<AwsAnswer>,
): Server {
  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const body = await readBody(incoming);
    const reply = body
      ? await answer({
          method: incoming.method ?? '',
          target: incoming.url ?? '',
          headers: incoming.headers,
          body,
          gone: gone.signal,
        })
      : 'cut';
    if (reply === 'cut') {
      incoming.socket.destroy();
      return;
    }
    const date = dateOf(clock.wallMs()).toUTCString();
    response.writeHead(reply.status, { 'content-type': 'application/json', date, ...reply.headers });
    response.end(reply.body);
  };
  const server = createServer(
    { cert: tls.cert, key: tls.key, keepAliveTimeout: KEEP_ALIVE_MS },
    (incoming, response) => void serve(incoming, response),
  );
  // A client may abort its handshake.
  server.on('tlsClientError', () => undefined);
  return server;
}

/** Resolves to the port once the server listens on 127.0.0.1. */
export function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve(address && typeof address === 'object' ? address.port : port);
    });
  });
}

/** Cuts every connection and closes the port. */
export function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Null when it is larger than the bound or the client went away before its end. */
async function readBody(incoming: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of incoming) {
      if (!Buffer.isBuffer(chunk)) return null;
      length += chunk.length;
      if (length > BODY_BYTES_MAX) return null;
      chunks.push(chunk);
    }
  } catch {
    // The client went away.
    return null;
  }
  return Buffer.concat(chunks);
}
