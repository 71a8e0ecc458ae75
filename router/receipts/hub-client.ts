/** Requests to the service API of an IoT hub, each with its own token, over connections that are kept. */
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { Clock } from '../../shared/clock.ts';
import { SecureAgent } from '../../shared/network/agents.ts';
import type { NetworkAccess } from '../../shared/network/options.ts';
import { type HubPolicy, hubToken } from './hub-token.ts';

export interface HubAnswer {
  status: number;
  /** The hub's name of the error; empty where the answer has none. */
  said: string;
}

export interface HubClientOptions {
  policy: HubPolicy;
  /** PEM of the authorities to trust; null for the usual ones. */
  ca: string | null;
  network: NetworkAccess;
  clock: Clock;
}

const SOCKETS_MAX = 16;
/** Enough for an error; the twin in other answers is not used. */
const BODY_BYTES_MAX = 4096;

export class HubClient {
  readonly #options: HubClientOptions;
  readonly #agent: SecureAgent;

  constructor(options: HubClientOptions) {
    const { ca, network: access, clock } = options;
    this.#options = options;
    this.#agent = new SecureAgent(
      { keepAlive: true, maxSockets: SOCKETS_MAX, ...(ca === null ? {} : { ca }) },
      { access, clock },
    );
  }

  /**
   * Patches the resource, whatever its version. Resolves with any answer; rejects without one, or when
   * `signal` aborts.
   */
  patch(path: string, body: string, signal: AbortSignal): Promise<HubAnswer> {
    const { policy, clock } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<HubAnswer>();
    const sending = request(
      `https://${policy.address}${path}`,
      {
        method: 'PATCH',
        agent: this.#agent,
        signal,
        headers: {
          authorization: hubToken(policy, clock.wallMs()),
          'content-type': 'application/json',
          'content-length': String(Buffer.byteLength(body)),
          'if-match': '"*"',
        },
      },
      (answer) => read(answer, resolve, reject),
    );
    sending.on('error', reject);
    sending.end(body);
    return promise;
  }

  /** Ends the connections. */
  close(): void {
    this.#agent.destroy();
  }
}

function read(
  answer: IncomingMessage,
  resolve: (answer: HubAnswer) => void,
  reject: (reason: Error) => void,
): void {
  let body = '';
  answer.setEncoding('utf8');
  answer.on('data', (text: string) => {
    if (body.length < BODY_BYTES_MAX) body += text;
  });
  answer.once('end', () => resolve({ status: answer.statusCode ?? 0, said: errorName(body) }));
  answer.on('error', reject);
}

/**
 * The error's name in `{"Message":"ErrorCode:DeviceNotFound;…"}` or `{"errorCode":404001,…}`. The rest of the
 * text has ids of the request, which differ each time.
 */
function errorName(body: string): string {
  return /errorcode"?\s*:\s*"?(\w{1,64})/i.exec(body)?.[1] ?? '';
}
