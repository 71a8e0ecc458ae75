/**
 * HTTPS of both AWS endpoints: first the body, then the signature, then the operation, and a `Date` on every
 * answer.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type Clock, dateOf } from '../../shared/clock.ts';
import type { KeyAndCertificate } from '../ca.ts';

export interface AwsRequest {
  method: string;
  /** Path and query of the request line. */
  target: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** Aborts when the client disconnects. */
  gone: AbortSignal;
}

/** `cut`: the connection ends without an answer. */
export type AwsAnswer = { status: number; headers?: Record<string, string>; body: string } | 'cut';

/** Larger than any AWS limit, so that "too large" gets an answer instead of a cut connection. */
const BODY_BYTES_MAX = 4 * 2 ** 20;
/**
 * As at AWS, longer than a client's pause between requests: a reused connection must not end under a request.
 */
const KEEP_ALIVE_MS = 60_000;

/** Creates a server that answers every request with `answer`. It does not listen yet. */
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

/** Null when the body exceeds the bound, or when the client disconnects before its end. */
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
    // The client disconnected.
    return null;
  }
  return Buffer.concat(chunks);
}
