/**
 * The SDK's HTTP, in place of its own handler: that one tells nothing of how far a request came, and its
 * time-outs cover neither the wait for a connection nor an answer that stalls.
 */
import type { Agent } from 'node:https';
import { Readable } from 'node:stream';
import { exchange, type Steps } from '../https-exchange.ts';

/** A request as the SDK makes it (`HttpRequest` of Smithy), signed. */
interface SdkRequest {
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

/** There is no answer. */
export class RequestFailed extends Error {
  readonly code: string | null;
  /** It may have arrived. */
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
  readonly #agent: Agent;
  /** By the signal that the SDK is given with a command, which is how the two are known for one. */
  readonly #steps = new WeakMap<AbortSignal, Steps>();

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  /** The request of the command that is sent with `steps.signal` tells these steps how far it is. */
  follow(steps: Steps): void {
    this.#steps.set(steps.signal, steps);
  }

  /** Called by the SDK. Rejects with {@link RequestFailed}. */
  async handle(
    request: SdkRequest,
    { abortSignal }: { abortSignal?: unknown } = {},
  ): Promise<{ response: SdkResponse }> {
    const steps = abortSignal instanceof AbortSignal ? this.#steps.get(abortSignal) : undefined;
    if (!steps) throw new Error('a request of a command that nobody follows');
    const { method, hostname, port, headers, body } = request;
    const options = { method, hostname, headers, path: pathOf(request), agent: this.#agent };
    const bytes = body instanceof Uint8Array || typeof body === 'string' ? Buffer.from(body) : undefined;
    const end = await exchange(port === undefined ? options : { ...options, port }, bytes, steps);
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
    this.#agent.destroy();
  }

  updateHttpClientConfig(): void {
    // Asked for by the SDK's interface; nothing of this handler is the SDK's to change.
  }

  httpHandlerConfigs(): Record<string, never> {
    return {};
  }
}

/** Path and query, escaped as they were signed (RFC 3986, as SigV4 has it). */
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
