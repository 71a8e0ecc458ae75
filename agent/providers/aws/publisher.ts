/**
 * AWS IoT Core over HTTPS. One publish is one signed POST. The SDK's retries and time-outs are off, and every
 * phase of a try, from the credentials to the last byte of the answer, ends with the try.
 */
import type { IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { sdkCredentials, trustedCa } from '../../../shared/aws.ts';
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import { KeptConnections } from '../https-exchange.ts';
import type { OutboundEnvelope, Outcome, PublishAttempt, Publisher } from '../publisher.ts';
import { SilentTries } from '../silent-tries.ts';
import { Tries, type Try } from '../tries.ts';
import { AWS_ENVELOPE_BYTES_MAX, type AwsOptions } from './options.ts';
import { outcomeOf } from './outcome.ts';
import { RequestHandler } from './request-handler.ts';

const IN_FLIGHT_MAX = 16;
/** The SDK was seen with all its sockets stuck after days (aws-sdk-js-v3#7835); a new client recovers. */
const SILENCE = { tries: 2, minAgeMs: 0 };

interface Deps {
  clock: Clock;
  log: Logger;
}

type Sdk = typeof import('@aws-sdk/client-iot-data-plane');

/** Loads the SDK without opening a connection. Rejects when `ca_file` is not readable. */
export async function openAwsPublisher(options: AwsOptions, deps: Deps): Promise<Publisher> {
  const sdk = await import('@aws-sdk/client-iot-data-plane');
  return new AwsPublisher(options, sdk, await trustedCa(options), deps);
}

class AwsPublisher implements Publisher {
  readonly type = 'aws';
  readonly maxEnvelopeBytes = AWS_ENVELOPE_BYTES_MAX;
  readonly #options: AwsOptions;
  readonly #sdk: Sdk;
  readonly #tls: { ca?: string };
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #tries: Tries;
  readonly #silence: SilentTries;
  #requests: RequestHandler;
  #client: IoTDataPlaneClient;

  constructor(options: AwsOptions, sdk: Sdk, tls: { ca?: string }, { clock, log }: Deps) {
    this.#options = options;
    this.#sdk = sdk;
    this.#tls = tls;
    this.#clock = clock;
    this.#log = log;
    this.#tries = new Tries(clock, IN_FLIGHT_MAX);
    this.#silence = new SilentTries(SILENCE, clock);
    this.#requests = this.#newRequests();
    this.#client = this.#newClient(0);
  }

  async publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    const outcome = await this.#tries.run(attempt, (one) => this.#send(message, one));
    if (!this.#tries.isClosed && this.#silence.isDeadAfter(outcome, false)) this.#renewClient();
    return outcome;
  }

  close(): Promise<void> {
    this.#tries.close();
    this.#client.destroy();
    return Promise.resolve();
  }

  async #send(message: OutboundEnvelope, one: Try): Promise<Outcome> {
    const client = this.#client;
    const clockOffsetMs = client.config.systemClockOffset;
    const publish = new this.#sdk.PublishCommand({
      topic: `${this.#options.topic_prefix}/${message.gateway}/${message.stream}`,
      qos: 1,
      payload: message.bytes,
      userProperties: JSON.stringify(
        Object.entries(message.properties).map(([key, value]) => ({ [key]: value })),
      ),
    });
    one.reach('credentials');
    this.#requests.follow(one);
    try {
      await client.send(publish, { abortSignal: one.signal });
      return { kind: 'accepted' };
    } catch (error) {
      return outcomeOf(error, client.config.systemClockOffset - clockOffsetMs);
    }
  }

  #renewClient(): void {
    this.#log.warn({ event: 'aws.client_renewed', deadlines: this.#silence.inARow });
    const old = this.#client;
    this.#silence.opened();
    this.#requests = this.#newRequests();
    this.#client = this.#newClient(old.config.systemClockOffset);
    old.destroy();
  }

  #newRequests(): RequestHandler {
    const network = { access: this.#options, clock: this.#clock };
    return new RequestHandler(new KeptConnections(this.#tls, IN_FLIGHT_MAX, network), this.#clock);
  }

  /** `systemClockOffset`: the SDK's correction of the gateway's wrong clock, which the new client keeps. */
  #newClient(systemClockOffset: number): IoTDataPlaneClient {
    return new this.#sdk.IoTDataPlaneClient({
      region: this.#options.region,
      endpoint: this.#options.endpoint,
      ...sdkCredentials(this.#options),
      maxAttempts: 1,
      systemClockOffset,
      requestHandler: this.#requests,
    });
  }
}
