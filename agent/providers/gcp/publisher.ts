/**
 * Publishes envelopes to a Pub/Sub topic: bounded tries on one channel, and a new channel when the old one
 * has gone silent.
 */
import type { Clock } from '../../../shared/clock.ts';
import { type GcpCredentials, openGcpCredentials } from '../../../shared/gcp/credentials.ts';
import type { Logger } from '../../../shared/log.ts';
import { Slots } from '../in-flight-limit.ts';
import { NOT_SENT, type OutboundEnvelope, type Outcome, type Publisher, TAKEN_BACK } from '../publisher.ts';
import { PubSubChannel } from './channel.ts';
import type { GcpOptions } from './options.ts';
import { outcomeOf } from './outcome.ts';

/**
 * Pub/Sub takes 10 MB per message and request ("Pub/Sub quotas and limits"); the rest is for attributes and
 * framing.
 */
const MAX_ENVELOPE_BYTES = 9_990_000;
/** A deadline includes the wait inside gRPC, so more at once would only time out there (I10). */
const MAX_IN_FLIGHT = 8;
/**
 * With less than this left after waiting for a place, a try is not begun: then it is known not to be there.
 */
const MIN_TRY_MS = 10;
/** This many tries in a row without one byte coming in, and the channel counts as dead. */
const SILENT_TRIES = 2;
/** Time for a new channel to connect before it is judged. */
const MIN_CHANNEL_AGE_MS = 2000;
/** How long `close` waits for the channel to end. */
const CLOSE_MS = 1000;

const LATE: Outcome = { kind: 'unknown', cause: 'deadline', detail: 'no answer before the deadline' };
const CLOSED: Outcome = { kind: 'unknown', cause: 'connection-lost', detail: 'the publisher was closed' };

export class GcpPublisher implements Publisher {
  readonly type = 'gcp';
  readonly maxEnvelopeBytes = MAX_ENVELOPE_BYTES;
  readonly #options: GcpOptions;
  readonly #trust: GcpCredentials;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #slots: Slots;
  /** Those in flight, each by what ends it. */
  readonly #tries = new Set<(outcome: Outcome) => void>();
  #channel: PubSubChannel;
  #silentTries = 0;
  #closed: boolean = false;

  static async open(options: GcpOptions, deps: { clock: Clock; log: Logger }): Promise<GcpPublisher> {
    // A gateway is no machine of Google's: asking for its metadata server would only hang.
    process.env['METADATA_SERVER_DETECTION'] ??= 'none';
    return new GcpPublisher(options, await openGcpCredentials(options, deps.clock), deps);
  }

  private constructor(options: GcpOptions, trust: GcpCredentials, deps: { clock: Clock; log: Logger }) {
    this.#options = options;
    this.#trust = trust;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#slots = new Slots(MAX_IN_FLIGHT, deps.clock);
    this.#channel = this.#openChannel();
  }

  async publish(message: OutboundEnvelope, deadlineMs: number, signal?: AbortSignal): Promise<Outcome> {
    if (message.bytes.length > MAX_ENVELOPE_BYTES) {
      const detail = `${message.bytes.length} bytes are more than Pub/Sub takes`;
      return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
    }
    const endsAtMs = this.#clock.monoMs() + deadlineMs;
    if (!(await this.#slots.enter(deadlineMs - MIN_TRY_MS))) {
      const detail = `${MAX_IN_FLIGHT} publishes are in flight and none ended in time`;
      return { kind: 'retryable', cause: 'unavailable', detail };
    }
    try {
      return await this.#try(message, Math.max(1, endsAtMs - this.#clock.monoMs()), signal);
    } finally {
      this.#slots.leave();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const settle of this.#tries) settle(CLOSED);
    const done = new AbortController();
    await Promise.race([this.#cut(this.#channel), this.#clock.sleep(CLOSE_MS, done.signal)]);
    done.abort();
  }

  #try(message: OutboundEnvelope, timeoutMs: number, signal: AbortSignal | undefined): Promise<Outcome> {
    if (this.#closed) return Promise.resolve(CLOSED);
    if (signal?.aborted) return Promise.resolve(NOT_SENT);
    const channel = this.#channel;
    const receivedBefore = channel.bytesReceived;
    return new Promise((resolve) => {
      const settle = (outcome: Outcome): void => {
        timer.cancel();
        signal?.removeEventListener('abort', takeBack);
        if (!this.#tries.delete(settle)) return;
        this.#judge(channel, outcome, channel.bytesReceived > receivedBefore);
        resolve(outcome);
      };
      // gRPC keeps the same deadline; this one holds also when gRPC does not get as far as its own.
      const timer = this.#clock.setTimer(timeoutMs, () => settle(LATE));
      const takeBack = (): void => settle(TAKEN_BACK);
      this.#tries.add(settle);
      signal?.addEventListener('abort', takeBack, { once: true });
      channel.publish(message, timeoutMs, signal).then(
        () => settle({ kind: 'accepted' }),
        (error: unknown) => settle(outcomeOf(error)),
      );
    });
  }

  /**
   * A black hole ends no connection: after some tries without a sign of life, the next goes out on a new one.
   */
  #judge(channel: PubSubChannel, outcome: Outcome, alive: boolean): void {
    if (this.#closed || channel !== this.#channel || outcome.kind === 'cancelled') return;
    const silent = outcome.kind === 'unknown' && outcome.cause === 'deadline' && !alive;
    this.#silentTries = silent ? this.#silentTries + 1 : 0;
    const ageMs = this.#clock.monoMs() - channel.openedAtMs;
    if (this.#silentTries < SILENT_TRIES || ageMs < MIN_CHANNEL_AGE_MS) return;
    this.#log.warn({ event: 'gcp.channel_silent', silentTries: this.#silentTries });
    this.#silentTries = 0;
    this.#channel = this.#openChannel();
    for (const settle of [...this.#tries]) settle(LATE);
    void this.#cut(channel);
  }

  #openChannel(): PubSubChannel {
    return new PubSubChannel(this.#options, this.#trust, this.#clock.monoMs());
  }

  async #cut(channel: PubSubChannel): Promise<void> {
    try {
      await channel.cut();
    } catch (error) {
      this.#log.debug({ event: 'gcp.channel_cut_failed', error: outcomeOf(error) });
    }
  }
}
