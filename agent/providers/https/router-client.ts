/**
 * One HTTPS request to a router: who asks, and what the answer says of the clock and of when to come again.
 * Never rejects, never tries twice.
 */
import { readFile } from 'node:fs/promises';
import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../../../shared/clock.ts';
import { type ExchangeEnd, exchange, KeptConnections, type Steps } from '../https-exchange.ts';
import type { PublishAttempt } from '../publisher.ts';
import type { HttpsAccess } from './access.ts';
import { TokenSigner } from './token.ts';

/** Requests at once; the rest wait for a connection. */
export const ROUTER_CONNECTIONS_MAX = 16;

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
  | Extract<ExchangeEnd, { kind: 'failed' }>;

export class RouterClient {
  readonly #base: URL;
  readonly #connections: KeptConnections;
  readonly #signer: TokenSigner | null;

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
    return new RouterClient(access.url, new KeptConnections(tls, ROUTER_CONNECTIONS_MAX), signer);
  }

  private constructor(url: string, connections: KeptConnections, signer: TokenSigner | null) {
    this.#base = new URL(url.endsWith('/') ? url : `${url}/`);
    this.#connections = connections;
    this.#signer = signer;
  }

  /** Ends when `steps.signal` aborts. */
  async send(what: RouterRequest, steps: PublishAttempt & Steps): Promise<RouterAnswer> {
    const authorization = await this.#signer?.header(what.gateway);
    const headers: Record<string, string | number> = { ...what.headers };
    if (authorization !== undefined) headers['authorization'] = authorization;
    if (what.body) headers['content-length'] = what.body.byteLength;
    const { hostname, port, pathname, search } = new URL(what.path, this.#base);
    const options = {
      method: what.method,
      hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
      port,
      path: `${pathname}${search}`,
      headers,
    };
    const end = await exchange(this.#connections, options, what.body, steps);
    return end.kind === 'failed' ? end : this.#answer(end.status, end.headers, end.body);
  }

  /** Ends the connections that are kept; a request under way ends with its own signal. */
  close(): void {
    this.#connections.destroy();
  }

  #answer(status: number, headers: IncomingHttpHeaders, body: Buffer): RouterAnswer {
    const seconds = Number.parseInt(headers['retry-after'] ?? '', 10);
    const isRefusal = status === 401 || status === 403;
    return {
      kind: 'answer',
      status,
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
