/**
 * Publishes envelopes to a Pub/Sub topic: a bounded number of tries on one channel, and a new channel when
 * the old one is silent.
 */
import type { Clock } from '../../../shared/clock.ts';
import { type GcpCredentials, openGcpCredentials } from '../../../shared/gcp/credentials.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import { within } from '../../../shared/within.ts';
import type { OutboundEnvelope, Outcome, PublishAttempt, Publisher } from '../publisher.ts';
import { isClogging, SilentTries } from '../silent-tries.ts';
import { Tries, type Try } from '../tries.ts';
import { PubSubChannel } from './channel.ts';
import { GCP_ENVELOPE_BYTES_MAX, type GcpOptions } from './options.ts';
import { outcomeOf, withoutCredentials } from './outcome.ts';

/** The deadline includes the wait inside gRPC, so more concurrent tries would only time out there (I10). */
const MAX_IN_FLIGHT = 8;
/** A new channel gets some time to connect before it is judged. */
const SILENCE = { tries: 2, minAgeMs: 2000 };
/** Time limit of `close` for the channel to end. */
const CLOSE_MS = 1000;

const SILENT = {
  kind: 'unknown',
  cause: 'deadline',
  detail: 'the channel was silent and is made anew',
} as const;

/** Connects with the first publish. Rejects when a file of the options is not readable. */
export async function openGcpPublisher(
  options: GcpOptions,
  deps: { clock: Clock; log: Logger },
): Promise<Publisher> {
  // A gateway does not run on Google Cloud: a query for the metadata server would only hang.
  process.env['METADATA_SERVER_DETECTION'] ??= 'none';
  return new GcpPublisher(options, await openGcpCredentials(options, deps.clock), deps);
}

class GcpPublisher implements Publisher {
  readonly type = 'gcp';
  readonly maxEnvelopeBytes = GCP_ENVELOPE_BYTES_MAX;
  readonly #options: GcpOptions;
  readonly #trust: GcpCredentials;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #tries: Tries;
  readonly #silence: SilentTries;
  #channel: PubSubChannel;

  constructor(options: GcpOptions, trust: GcpCredentials, deps: { clock: Clock; log: Logger }) {
    this.#options = options;
    this.#trust = trust;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#tries = new Tries(deps.clock, MAX_IN_FLIGHT);
    this.#silence = new SilentTries(SILENCE, deps.clock);
    this.#channel = new PubSubChannel(options, trust, deps.clock);
  }

  async publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    if (message.bytes.length > GCP_ENVELOPE_BYTES_MAX) {
      const detail = `${message.bytes.length} bytes are more than Pub/Sub takes`;
      return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
    }
    let used = this.#channel;
    let receivedBefore = used.bytesReceived;
    const outcome = await this.#tries.run(attempt, (one) => {
      used = this.#channel;
      receivedBefore = used.bytesReceived;
      return this.#send(used, message, one);
    });
    if (isClogging(outcome, message.bytes.length)) this.#retire(used);
    else this.#judge(used, outcome, used.bytesReceived > receivedBefore);
    return outcome;
  }

  async close(): Promise<void> {
    this.#tries.close();
    await within(this.#clock, CLOSE_MS, this.#cut(this.#channel), () => undefined);
  }

  async #send(channel: PubSubChannel, message: OutboundEnvelope, one: Try): Promise<Outcome> {
    one.reach('credentials');
    try {
      await this.#trust.ready();
    } catch (error) {
      return withoutCredentials(errorText(error));
    }
    if (one.isOver) return one.over;
    const lostBefore = channel.connectionsLost;
    try {
      await channel.publish(message, one);
      return { kind: 'accepted' };
    } catch (error) {
      const outcome = outcomeOf(error);
      const isLost = outcome.kind === 'unknown' && outcome.cause === 'connection-lost';
      return isLost ? channel.lost(lostBefore, outcome) : outcome;
    }
  }

  #judge(channel: PubSubChannel, outcome: Outcome, heard: boolean): void {
    if (this.#tries.isClosed || channel !== this.#channel) return;
    if (!this.#silence.isDeadAfter(outcome, heard)) return;
    this.#log.warn({ event: 'gcp.channel_silent', silentTries: this.#silence.inARow });
    this.#renew();
    this.#tries.endAll({ ...SILENT });
    void this.#cut(channel);
  }

  /** The rest of a large publish may be in its buffers: the others go on, and new ones take a new channel. */
  #retire(channel: PubSubChannel): void {
    if (this.#tries.isClosed || channel !== this.#channel) return;
    this.#renew();
    void channel.retire().then(() => this.#cut(channel));
  }

  #renew(): void {
    this.#silence.opened();
    this.#channel = new PubSubChannel(this.#options, this.#trust, this.#clock);
  }

  async #cut(channel: PubSubChannel): Promise<void> {
    try {
      await channel.cut();
    } catch (error) {
      this.#log.debug({ event: 'gcp.channel_cut_failed', error: outcomeOf(error) });
    }
  }
}
