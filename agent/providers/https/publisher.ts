/**
 * Publishes envelopes to a router over HTTPS: one publish is one POST, and its 200 comes after the ledger's
 * commit.
 */
import type { Clock } from '../../../shared/clock.ts';
import type { OutboundEnvelope, Outcome, Publisher } from '../publisher.ts';
import type { HttpsOptions } from './options.ts';
import { outcomeOf } from './outcome.ts';
import { RouterClient } from './router-client.ts';

const CLOSED: Outcome = { kind: 'unknown', cause: 'connection-lost', detail: 'the publisher was closed' };

export class HttpsPublisher implements Publisher {
  readonly type = 'https';
  readonly maxEnvelopeBytes: number;
  readonly #client: RouterClient;
  #closed: boolean = false;

  static async open(options: HttpsOptions, deps: { clock: Clock }): Promise<HttpsPublisher> {
    return new HttpsPublisher(options, await RouterClient.open(options, deps.clock));
  }

  private constructor(options: HttpsOptions, client: RouterClient) {
    this.maxEnvelopeBytes = options.max_envelope_bytes;
    this.#client = client;
  }

  async publish({ gateway, bytes, properties }: OutboundEnvelope, deadlineMs: number): Promise<Outcome> {
    if (this.#closed) return CLOSED;
    if (bytes.length > this.maxEnvelopeBytes) {
      const detail = `${bytes.length} bytes are more than max_envelope_bytes`;
      return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
    }
    const headers: Record<string, string> = { 'content-type': 'application/octet-stream' };
    for (const [key, value] of Object.entries(properties)) headers[`headgate-${key}`] = value;
    const answer = await this.#client.send(
      { method: 'POST', path: 'v1/envelopes', gateway, headers, body: bytes },
      deadlineMs,
    );
    return outcomeOf(answer);
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#client.close();
    return Promise.resolve();
  }
}
