/** A gateway that posts envelopes to the router's own endpoint, one after the other. */
import { Agent, request } from 'node:https';
import type { KeyAndCertificate } from '../../../loopback/ca.ts';

export interface Answered {
  status: number;
  text: string;
}

interface SenderOptions {
  port: number;
  ca: string;
  certificate: KeyAndCertificate;
  /** Address that its connections come from. */
  localAddress?: string;
}

export class Sender {
  readonly #options: SenderOptions;
  readonly #agent: Agent;

  constructor(options: SenderOptions) {
    const { ca, certificate, localAddress } = options;
    this.#options = options;
    this.#agent = new Agent({
      keepAlive: true,
      ca,
      ...certificate,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
  }

  /** Rejects when the connection fails. */
  post(bytes: Uint8Array, path = '/v1/envelopes'): Promise<Answered> {
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    const { port } = this.#options;
    const options = { host: 'localhost', port, path, method: 'POST', agent: this.#agent, timeout: 60_000 };
    const outgoing = request(options, (incoming) => {
      let text = '';
      incoming.on('data', (chunk) => {
        text += chunk;
      });
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text }));
      incoming.on('error', reject);
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in a minute')));
    outgoing.on('error', reject);
    outgoing.end(bytes);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}
