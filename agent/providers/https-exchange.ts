/**
 * One HTTPS request over a kept-alive connection (or HTTP, to a server on this machine). Returns the answer,
 * or how far the request came. Never rejects, never retries, and ends in any phase when the signal of its
 * steps aborts.
 */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { errorText } from '../../shared/log.ts';
import { type Network, SecureAgent } from '../../shared/network/agents.ts';
import { connectionPhase } from './connection-phase.ts';
import type { Try } from './tries.ts';

/** Largest answer (I10). Answers to publishes are small; a router's receipt is the largest. */
const ANSWER_BYTES_MAX = 1024 * 1024;

/** The abort signal of a request, and optional callbacks for its progress. */
export type Steps = Pick<Try, 'signal'> & Partial<Pick<Try, 'reach' | 'leaves'>>;

export type ExchangeEnd =
  | { kind: 'answer'; status: number; headers: IncomingHttpHeaders; body: Buffer }
  /** `sent`: the request may have arrived. */
  | { kind: 'failed'; sent: boolean; cause: 'error' | 'ended'; code: string | null; text: string };

type Failed = Extract<ExchangeEnd, { kind: 'failed' }>;

/** Kept-alive connections of one publisher, at most `max` for each protocol. */
export class KeptConnections {
  readonly #https: SecureAgent;
  readonly #http: HttpAgent;

  constructor(tls: { ca?: string | Buffer; cert?: Buffer; key?: Buffer }, max: number, network: Network) {
    this.#https = new SecureAgent({ ...tls, keepAlive: true, maxSockets: max }, network);
    // Only to a server on this machine.
    this.#http = new HttpAgent({ keepAlive: true, maxSockets: max });
  }

  /** A request that is not started yet. */
  request(options: RequestOptions): ClientRequest {
    return options.protocol === 'http:'
      ? httpRequest({ ...options, agent: this.#http })
      : httpsRequest({ ...options, agent: this.#https });
  }

  destroy(): void {
    this.#https.destroy();
    this.#http.destroy();
  }
}

/** Sends `body` as a whole, with its length. */
export function exchange(
  connections: KeptConnections,
  options: RequestOptions,
  body: Uint8Array | undefined,
  steps: Steps,
): Promise<ExchangeEnd> {
  if (steps.signal.aborted) return Promise.resolve(failed('ended', false, null, 'ended before it began'));
  return new Promise((resolve) => {
    let isSent = false;
    const settle = (end: ExchangeEnd): void => {
      steps.signal.removeEventListener('abort', stop);
      resolve(end);
    };
    const outgoing = connections.request(options);
    const stop = (): void => {
      settle(failed('ended', isSent, null, 'ended by its caller'));
      outgoing.destroy();
    };
    steps.signal.addEventListener('abort', stop, { once: true });
    const leave = (): void => {
      isSent = true;
      if (steps.leaves?.() === false) outgoing.destroy();
    };
    steps.reach?.('connect');
    // No byte of the request leaves before the handshake ends: until then, an error means not sent.
    outgoing.once('socket', (socket: Socket) => {
      if (outgoing.reusedSocket) return leave();
      steps.reach?.(connectionPhase(socket, options.hostname ?? ''));
      socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', leave);
    });
    outgoing.on('error', (error) => settle(failed('error', isSent, codeOf(error), errorText(error))));
    outgoing.once('response', (incoming) => {
      steps.reach?.('answer');
      void readBody(incoming).then((read) => {
        if (read === null) return settle(failed('error', true, null, 'the answer broke off'));
        settle({ kind: 'answer', status: incoming.statusCode ?? 0, headers: incoming.headers, body: read });
      });
    });
    outgoing.end(body);
  });
}

function codeOf(error: Error): string | null {
  return 'code' in error && typeof error.code === 'string' ? error.code : null;
}

function failed(cause: Failed['cause'], sent: boolean, code: string | null, text: string): Failed {
  return { kind: 'failed', sent, cause, code, text };
}

/** Null when the body breaks off, or exceeds the bound. */
async function readBody(incoming: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of incoming) {
      if (!Buffer.isBuffer(chunk)) return null;
      length += chunk.length;
      if (length > ANSWER_BYTES_MAX) {
        incoming.destroy();
        return null;
      }
      chunks.push(chunk);
    }
  } catch {
    // The connection ended in the middle of the answer; the caller reports it.
    return null;
  }
  return Buffer.concat(chunks);
}
