/**
 * The SDK's HTTP handler, in place of its own. The SDK's handler does not report the progress of a request,
 * and its time-outs cover neither the wait for a connection nor a stalled answer.
 */
import { Readable } from 'node:stream';
import type { Clock } from '../../../shared/clock.ts';
import { timeLimit } from '../../../shared/time-limit.ts';
import { exchange, type KeptConnections, type Steps } from '../https-exchange.ts';

/** A signed request of the SDK (`HttpRequest` of Smithy). */
interface SdkRequest {
  protocol?: string;
  method: string;
  hostname: string;
  port?: number;
  path: string;
  query?: Record<string, string | string[] | null>;
  headers: Record<string, string>;
  body?: unknown;
}

interface SdkResponse {
  statusCode: number;
  headers: Record<string, string>;
  body: Readable;
}

/** Time limit of a request for credentials. */
const CREDENTIALS_MS = 5000;

/** The request got no answer. */
export class RequestFailed extends Error {
  readonly code: string | null;
  /** Whether the request may have arrived. */
  readonly sent: boolean;

  constructor(text: string, code: string | null, sent: boolean) {
    super(text);
    this.name = 'RequestFailed';
    this.code = code;
    this.sent = sent;
  }
}

export class RequestHandler {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #connections: KeptConnections;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  /** By the signal of the command, which identifies the command in a request. */
  readonly #steps = new WeakMap<AbortSignal, Steps>();

  constructor(connections: KeptConnections, clock: Clock) {
    this.#connections = connections;
    this.#clock = clock;
  }

  /** Reports the progress of the command with `steps.signal` to `steps`. */
  follow(steps: Steps): void {
    this.#steps.set(steps.signal, steps);
  }

  /** Called by the SDK. Rejects with {@link RequestFailed}. */
  async handle(
    request: SdkRequest,
    { abortSignal }: { abortSignal?: unknown } = {},
  ): Promise<{ response: SdkResponse }> {
    const steps = abortSignal instanceof AbortSignal ? this.#steps.get(abortSignal) : undefined;
    // The SDK also uses this handler to get credentials (STS), without a time limit of its own.
    const limit = timeLimit(this.#clock, CREDENTIALS_MS, this.#closing.signal);
    const { protocol = 'https:', method, hostname, port, headers, body } = request;
    const options = { protocol, method, hostname, headers, path: pathOf(request), ...(port && { port }) };
    const bytes = body instanceof Uint8Array || typeof body === 'string' ? Buffer.from(body) : undefined;
    const end = await exchange(this.#connections, options, bytes, steps ?? limit);
    limit.end();
    if (end.kind === 'failed') throw new RequestFailed(end.text, end.code, end.sent);
    return {
      response: {
        statusCode: end.status,
        headers: Object.fromEntries(
          Object.entries(end.headers).map(([name, value]) => [name, [value].flat().join(', ')]),
        ),
        body: Readable.from([end.body], { objectMode: false }),
      },
    };
  }

  destroy(): void {
    this.#closing.abort();
    this.#connections.destroy();
  }

  updateHttpClientConfig(): void {
    // Required by the SDK's interface; this handler has no options for the SDK to change.
  }

  httpHandlerConfigs(): Record<string, never> {
    return {};
  }
}

/** Path and query, escaped as in the signature (RFC 3986, as SigV4 requires). */
function pathOf({ path, query = {} }: SdkRequest): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map((one) => (one === null ? escaped(name) : `${escaped(name)}=${escaped(one)}`)),
  );
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}

function escaped(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
