/**
 * One HTTPS request to a router on a connection that is kept: its answer, or how far it came. Never rejects,
 * never tries twice.
 */
import { readFile } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, STATUS_CODES } from 'node:http';
import { request } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { HandshakeAgent } from '../aws/handshake-agent.ts';
import type { HttpsAccess } from './access.ts';
import { TokenSigner } from './token.ts';

const SOCKETS_MAX = 16;
/** A router's answer is small, but for a receipt. */
const ANSWER_BYTES_MAX = 1024 * 1024;

export interface RouterRequest {
  method: 'GET' | 'POST';
  /** With its query, from the root of `url`. */
  path: string;
  gateway: string;
  headers?: Record<string, string>;
  body?: Uint8Array;
}

export type RouterAnswer =
  /** `clockMoved`: it refused us for our clock, which is corrected now. */
  | { kind: 'answer'; status: number; retryAfterMs: number | null; body: Buffer; clockMoved: boolean }
  /** `sent`: it may have arrived. */
  | {
      kind: 'failed';
      sent: boolean;
      cause: 'error' | 'deadline' | 'closed';
      code: string | null;
      text: string;
    };

export class RouterClient {
  readonly #base: URL;
  readonly #agent: HandshakeAgent;
  readonly #signer: TokenSigner | null;
  readonly #clock: Clock;
  readonly #underWay = new Set<(cause: 'deadline' | 'closed') => void>();
  #closed: boolean = false;

  /** Rejects when a file that `access` names is not readable, or not what it should be. */
  static async open(access: HttpsAccess, clock: Clock): Promise<RouterClient> {
    const read = async (file: string | undefined): Promise<Buffer | undefined> =>
      file === undefined ? undefined : readFile(file);
    const [ca, cert, key] = await Promise.all([
      read(access.ca_file),
      read(access.cert_file),
      read(access.key_file),
    ]);
    const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
    // Checked here, where it can be told.
    createSecureContext(tls);
    const { token_key_file: file, audience } = access;
    const signer = file === undefined ? null : await TokenSigner.open(file, audience, clock);
    return new RouterClient({ url: access.url, tls, signer, clock });
  }

  private constructor(options: { url: string; tls: object; signer: TokenSigner | null; clock: Clock }) {
    this.#base = new URL(options.url.endsWith('/') ? options.url : `${options.url}/`);
    this.#agent = new HandshakeAgent({ ...options.tls, maxSockets: SOCKETS_MAX });
    this.#signer = options.signer;
    this.#clock = options.clock;
  }

  /** Settles within `deadlineMs`. */
  async send(what: RouterRequest, deadlineMs: number): Promise<RouterAnswer> {
    if (this.#closed) return failed('closed', false, null, 'the client is closed');
    const startedMs = this.#clock.monoMs();
    const authorization = await this.#signer?.header(what.gateway);
    const headers: Record<string, string | number> = { ...what.headers };
    if (authorization !== undefined) headers['authorization'] = authorization;
    if (what.body) headers['content-length'] = what.body.byteLength;
    const outgoing = request(new URL(what.path, this.#base), {
      method: what.method,
      agent: this.#agent,
      headers,
    });
    const leftMs = Math.max(1, deadlineMs - (this.#clock.monoMs() - startedMs));
    return this.#exchange(outgoing, what.body, leftMs);
  }

  /** Cuts every connection; what is under way settles. */
  close(): void {
    this.#closed = true;
    for (const end of [...this.#underWay]) end('closed');
    this.#agent.destroy();
  }

  #exchange(outgoing: ClientRequest, body: Uint8Array | undefined, leftMs: number): Promise<RouterAnswer> {
    return new Promise((resolve) => {
      let isSent = false;
      const settle = (answer: RouterAnswer): void => {
        timer.cancel();
        this.#underWay.delete(end);
        resolve(answer);
      };
      const end = (cause: 'deadline' | 'closed'): void => {
        const text = cause === 'deadline' ? `no answer in ${Math.round(leftMs)} ms` : 'the client was closed';
        settle(failed(cause, isSent, null, text));
        outgoing.destroy();
      };
      const timer = this.#clock.setTimer(leftMs, () => end('deadline'));
      this.#underWay.add(end);
      outgoing.once('socket', (socket) => {
        const sent = (): void => {
          isSent = true;
        };
        if (outgoing.reusedSocket) sent();
        else socket.once('secureConnect', sent);
      });
      outgoing.on('error', (error) => {
        const code = 'code' in error && typeof error.code === 'string' ? error.code : null;
        settle(failed('error', isSent && !this.#agent.isBeforeSending(error), code, errorText(error)));
      });
      outgoing.once('response', (incoming) => {
        void readBody(incoming).then((read) => {
          if (read === null) return settle(failed('error', true, null, 'the answer broke off'));
          settle(this.#answer(incoming, read));
        });
      });
      outgoing.end(body);
    });
  }

  #answer({ statusCode = 0, headers }: IncomingMessage, body: Buffer): RouterAnswer {
    const seconds = Number.parseInt(headers['retry-after'] ?? '', 10);
    const isRefusal = statusCode === 401 || statusCode === 403;
    return {
      kind: 'answer',
      status: statusCode,
      retryAfterMs: Number.isNaN(seconds) ? null : seconds * 1000,
      body,
      clockMoved: isRefusal && (this.#signer?.corrected(headers.date) ?? false),
    };
  }
}

/** For people and logs. Never a body: it may be another server's. */
export function statusText(status: number): string {
  return `HTTP ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd();
}

function failed(
  cause: 'error' | 'deadline' | 'closed',
  sent: boolean,
  code: string | null,
  text: string,
): RouterAnswer {
  return { kind: 'failed', sent, cause, code, text };
}

/** Null when it breaks off, or is larger than the bound (I10). */
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
    // The connection ended in the middle of the answer: the caller says so.
    return null;
  }
  return Buffer.concat(chunks);
}
