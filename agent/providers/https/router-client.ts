/**
 * HTTPS requests to a router: adds the authentication, and reads the clock and the Retry-After of the answer.
 * Never rejects, never retries.
 */
import { readFile } from 'node:fs/promises';
import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../../../shared/clock.ts';
import { retryAfterMs } from '../../../shared/network/retry-after.ts';
import { type ExchangeEnd, exchange, KeptConnections, type Steps } from '../https-exchange.ts';
import type { PublishAttempt } from '../publisher.ts';
import type { HttpsAccess } from './access.ts';
import { TokenSigner } from './token.ts';

/** Most concurrent requests; further ones wait for a connection. */
export const ROUTER_CONNECTIONS_MAX = 16;

export interface RouterRequest {
  method: 'GET' | 'POST';
  /** With its query, relative to the root of `url`. */
  path: string;
  gateway: string;
  headers?: Record<string, string>;
  body?: Uint8Array;
}

export type RouterAnswer =
  /** `clockMoved`: the router refused the request for the gateway's clock, which is corrected now. */
  | { kind: 'answer'; status: number; retryAfterMs: number | null; body: Buffer; clockMoved: boolean }
  | Extract<ExchangeEnd, { kind: 'failed' }>;

export class RouterClient {
  readonly #base: URL;
  readonly #connections: KeptConnections;
  readonly #signer: TokenSigner | null;

  /** Rejects when a file of `access` is unreadable or invalid. */
  static async open(access: HttpsAccess, clock: Clock): Promise<RouterClient> {
    const read = async (file: string | undefined): Promise<Buffer | undefined> =>
      file === undefined ? undefined : readFile(file);
    const [ca, cert, key] = await Promise.all([
      read(access.ca_file),
      read(access.cert_file),
      read(access.key_file),
    ]);
    const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
    // Checked here, where an error can be reported.
    createSecureContext(tls);
    const { token_key_file: file, audience } = access;
    const signer = file === undefined ? null : await TokenSigner.open(file, audience, clock);
    const connections = new KeptConnections(tls, ROUTER_CONNECTIONS_MAX, { access, clock });
    return new RouterClient(access.url, connections, signer);
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

  /** Ends the kept-alive connections; a request under way ends with its own signal. */
  close(): void {
    this.#connections.destroy();
  }

  #answer(status: number, headers: IncomingHttpHeaders, body: Buffer): RouterAnswer {
    const isRefusal = status === 401 || status === 403;
    return {
      kind: 'answer',
      status,
      retryAfterMs: retryAfterMs(headers['retry-after'], { date: headers.date }),
      body,
      clockMoved: isRefusal && (this.#signer?.corrected(headers.date) ?? false),
    };
  }
}

/** A text for logs. It never includes the body, which may be another server's. */
export function statusText(status: number): string {
  return `HTTP ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd();
}
