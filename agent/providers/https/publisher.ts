/**
 * Publishes envelopes to a router over HTTPS. One publish is one POST; its 200 follows the ledger's commit.
 */
import type { Clock } from '../../../shared/clock.ts';
import type { OutboundEnvelope, Outcome, PublishAttempt, Publisher } from '../publisher.ts';
import { Tries } from '../tries.ts';
import type { HttpsOptions } from './options.ts';
import { outcomeOf } from './outcome.ts';
import { ROUTER_CONNECTIONS_MAX, RouterClient } from './router-client.ts';

/** Connects with the first publish. Rejects when a file of the options is unreadable or invalid. */
export async function openHttpsPublisher(
  options: HttpsOptions,
  { clock }: { clock: Clock },
): Promise<Publisher> {
  return new HttpsPublisher(options, await RouterClient.open(options, clock), clock);
}

class HttpsPublisher implements Publisher {
  readonly type = 'https';
  readonly maxEnvelopeBytes: number;
  readonly #client: RouterClient;
  readonly #tries: Tries;

  constructor(options: HttpsOptions, client: RouterClient, clock: Clock) {
    this.maxEnvelopeBytes = options.max_envelope_bytes;
    this.#client = client;
    this.#tries = new Tries(clock, ROUTER_CONNECTIONS_MAX);
  }

  async publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    const { gateway, bytes, properties } = message;
    if (bytes.length > this.maxEnvelopeBytes) {
      const detail = `${bytes.length} bytes are more than max_envelope_bytes`;
      return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
    }
    const headers: Record<string, string> = { 'content-type': 'application/octet-stream' };
    for (const [key, value] of Object.entries(properties)) headers[`headgate-${key}`] = value;
    const request = { method: 'POST', path: 'v1/envelopes', gateway, headers, body: bytes } as const;
    return this.#tries.run(attempt, async (one) => {
      one.reach('credentials');
      return outcomeOf(await this.#client.send(request, one));
    });
  }

  close(): Promise<void> {
    this.#tries.close();
    this.#client.close();
    return Promise.resolve();
  }
}
