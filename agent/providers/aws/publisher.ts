/**
 * AWS IoT Core over HTTPS. One publish is one signed POST: the SDK's retries are off, and the one timeout is
 * the deadline's AbortSignal, because none of the SDK's own covers connecting, waiting and a stalled body
 * alike.
 */
import type { IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { z } from 'zod';
import { awsAccess, awsCredentials, DEFAULT_CHAIN, sdkCredentials, trustedCa } from '../../../shared/aws.ts';
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import { NOT_SENT, type OutboundEnvelope, type Outcome, type Publisher, TAKEN_BACK } from '../publisher.ts';
import { HandshakeAgent } from './handshake-agent.ts';
import { outcomeOf } from './outcome.ts';

const ENDPOINT_HINT =
  'expected https:// and the data endpoint of your AWS account: aws iot describe-endpoint --endpoint-type iot:Data-ATS';

const credentials = awsCredentials.extend({
  expires_at: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('When temporary credentials end, as their issuer said: 2026-12-01T10:00:00Z.'),
});

/** A `providers[]` entry of type `aws`, without what all entries have. */
export const awsOptions = z.strictObject({
  ...awsAccess,
  credentials: credentials.optional().describe(DEFAULT_CHAIN),
  next_credentials: credentials
    .optional()
    .describe('Tried when the others are refused or near their end, and used once a publish proved them.'),
  endpoint: z
    .url({ protocol: /^https$/, error: ENDPOINT_HINT })
    .describe('The data endpoint of your AWS account.'),
  topic_prefix: z
    .string()
    .regex(
      /^[^/+#]+(\/[^/+#]+)*$/,
      'expected topic levels without wildcards, not beginning or ending with "/"',
    )
    .default('headgate')
    .describe(
      'The topic is <topic_prefix>/<gateway>/<stream>. More levels may stand in front: $aws/rules/<rule>/headgate for Basic Ingest.',
    ),
});

export type AwsOptions = z.output<typeof awsOptions>;

/**
 * The payload limit of a publish ("AWS IoT Core message broker and protocol limits and quotas"), less a
 * margin.
 */
const ENVELOPE_BYTES_MAX = 124 * 1024;
const SOCKETS_MAX = 16;
/**
 * The SDK was seen with all its sockets stuck after days (aws-sdk-js-v3#7835): then a new client is the cure.
 */
const DEADLINES_BEFORE_NEW_CLIENT = 3;

interface Deps {
  clock: Clock;
  log: Logger;
}

type Sdk = typeof import('@aws-sdk/client-iot-data-plane');

/** Loads the SDK and opens no connection yet. Rejects when `ca_file` cannot be read. */
export async function openAwsPublisher(options: AwsOptions, deps: Deps): Promise<Publisher> {
  const sdk = await import('@aws-sdk/client-iot-data-plane');
  return new AwsPublisher(options, sdk, await trustedCa(options), deps);
}

class AwsPublisher implements Publisher {
  readonly type = 'aws';
  readonly maxEnvelopeBytes = ENVELOPE_BYTES_MAX;
  readonly #options: AwsOptions;
  readonly #sdk: Sdk;
  readonly #tls: { ca?: string };
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Ends each publish that is under way, with the outcome given. */
  readonly #inFlight = new Set<(outcome: Outcome) => void>();
  #agent: HandshakeAgent;
  #client: IoTDataPlaneClient;
  #deadlinesInARow = 0;
  #closed: boolean = false;

  constructor(options: AwsOptions, sdk: Sdk, tls: { ca?: string }, deps: Deps) {
    this.#options = options;
    this.#sdk = sdk;
    this.#tls = tls;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#agent = this.#newAgent();
    this.#client = this.#newClient(0);
  }

  async publish(message: OutboundEnvelope, deadlineMs: number, signal?: AbortSignal): Promise<Outcome> {
    if (signal?.aborted) return NOT_SENT;
    if (this.#closed) return { kind: 'retryable', cause: 'not-connected', detail: 'the publisher is closed' };
    const abort = new AbortController();
    const { promise: ended, resolve } = Promise.withResolvers<Outcome>();
    const end = (outcome: Outcome): void => {
      resolve(outcome);
      abort.abort();
    };
    this.#inFlight.add(end);
    const deadline = this.#clock.setTimer(deadlineMs, () =>
      end({ kind: 'unknown', cause: 'deadline', detail: `no answer in ${Math.round(deadlineMs)} ms` }),
    );
    const takeBack = (): void => end(TAKEN_BACK);
    signal?.addEventListener('abort', takeBack, { once: true });
    const outcome = await Promise.race([this.#send(message, abort.signal), ended]);
    signal?.removeEventListener('abort', takeBack);
    deadline.cancel();
    this.#inFlight.delete(end);
    this.#countDeadlines(outcome);
    return outcome;
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const end of this.#inFlight) {
      end({ kind: 'unknown', cause: 'connection-lost', detail: 'the publisher was closed' });
    }
    this.#client.destroy();
    return Promise.resolve();
  }

  async #send(message: OutboundEnvelope, abortSignal: AbortSignal): Promise<Outcome> {
    const client = this.#client;
    const agent = this.#agent;
    const clockOffsetMs = client.config.systemClockOffset;
    const publish = new this.#sdk.PublishCommand({
      topic: `${this.#options.topic_prefix}/${message.gateway}/${message.stream}`,
      qos: 1,
      payload: message.bytes,
      userProperties: JSON.stringify(
        Object.entries(message.properties).map(([key, value]) => ({ [key]: value })),
      ),
    });
    try {
      await client.send(publish, { abortSignal });
      return { kind: 'accepted' };
    } catch (error) {
      return outcomeOf(error, {
        beforeSending: agent.isBeforeSending(error),
        clockMovedMs: client.config.systemClockOffset - clockOffsetMs,
      });
    }
  }

  #countDeadlines(outcome: Outcome): void {
    if (outcome.kind === 'cancelled') return;
    const isDeadline = outcome.kind === 'unknown' && outcome.cause === 'deadline';
    this.#deadlinesInARow = isDeadline ? this.#deadlinesInARow + 1 : 0;
    if (this.#deadlinesInARow < DEADLINES_BEFORE_NEW_CLIENT || this.#closed) return;
    this.#deadlinesInARow = 0;
    this.#log.warn({ deadlines: DEADLINES_BEFORE_NEW_CLIENT }, 'cloud.aws.client_renewed');
    const old = this.#client;
    this.#agent = this.#newAgent();
    this.#client = this.#newClient(old.config.systemClockOffset);
    old.destroy();
  }

  #newAgent(): HandshakeAgent {
    return new HandshakeAgent({ ...this.#tls, maxSockets: SOCKETS_MAX });
  }

  /**
   * `systemClockOffset` is what the SDK has learnt of the gateway's wrong clock; a new client must not
   * unlearn it.
   */
  #newClient(systemClockOffset: number): IoTDataPlaneClient {
    return new this.#sdk.IoTDataPlaneClient({
      region: this.#options.region,
      endpoint: this.#options.endpoint,
      ...sdkCredentials(this.#options),
      maxAttempts: 1,
      systemClockOffset,
      requestHandler: { httpsAgent: this.#agent },
    });
  }
}
