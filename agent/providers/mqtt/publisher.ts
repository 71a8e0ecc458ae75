/**
 * Publishes envelopes to an MQTT broker: QoS 1 on one shared connection, made when first needed and again
 * when it ended.
 */
import type { IClientOptions } from 'mqtt';
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import { mqttClientOptions } from '../../../shared/mqtt.ts';
import { Slots } from '../in-flight-limit.ts';
import { NOT_SENT, type OutboundEnvelope, type Outcome, type Publisher } from '../publisher.ts';
import type { MqttOptions } from './options.ts';
import { Session } from './session.ts';

/**
 * Between one connect and the next: doubled with each failure. A storm of connects would only keep a broker
 * down.
 */
const CONNECT_GAP_FIRST_MS = 250;
const CONNECT_GAP_LAST_MS = 1000;
/** Unacknowledged publishes a connection may have, well below what brokers allow (I10). */
const MAX_IN_FLIGHT = 16;
/**
 * With less than this left after waiting for a place, a try is not begun: then it is known not to be there.
 */
const MIN_TRY_MS = 10;
/** This many tries in a row without one packet coming in, and the connection counts as dead. */
const SILENT_TRIES = 2;
/** A younger connection is not judged yet. */
const MIN_SESSION_AGE_MS = 2000;

const BETWEEN_CONNECTS: Outcome = {
  kind: 'retryable',
  cause: 'not-connected',
  detail: 'the connection was lost a moment ago',
};
const CONNECTING: Outcome = { kind: 'retryable', cause: 'not-connected', detail: 'still connecting' };
const CLOSED: Outcome = { kind: 'unknown', cause: 'connection-lost', detail: 'the publisher was closed' };

export class MqttPublisher implements Publisher {
  readonly type = 'mqtt';
  readonly maxEnvelopeBytes: number;
  readonly #options: MqttOptions;
  readonly #clientOptions: IClientOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #slots: Slots;
  #session: Session | null = null;
  #lastFailure: Outcome = BETWEEN_CONNECTS;
  /** Connects that failed since the last that did not. */
  #failures = 0;
  #silentTries = 0;
  #closed: boolean = false;

  static async open(options: MqttOptions, deps: { clock: Clock; log: Logger }): Promise<MqttPublisher> {
    return new MqttPublisher(options, await mqttClientOptions(options), deps);
  }

  private constructor(
    options: MqttOptions,
    clientOptions: IClientOptions,
    deps: { clock: Clock; log: Logger },
  ) {
    this.maxEnvelopeBytes = options.max_envelope_bytes;
    this.#options = options;
    this.#clientOptions = { ...clientOptions, clean: true, ...clientId(options) };
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#slots = new Slots(MAX_IN_FLIGHT, deps.clock);
  }

  async publish(message: OutboundEnvelope, deadlineMs: number, signal?: AbortSignal): Promise<Outcome> {
    if (message.bytes.length > this.maxEnvelopeBytes) {
      const detail = `${message.bytes.length} bytes are more than max_envelope_bytes`;
      return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
    }
    const endsAtMs = this.#clock.monoMs() + deadlineMs;
    if (!(await this.#slots.enter(deadlineMs - MIN_TRY_MS))) {
      const detail = `${MAX_IN_FLIGHT} publishes are in flight and none ended in time`;
      return { kind: 'retryable', cause: 'unavailable', detail };
    }
    try {
      return await this.#try(message, endsAtMs, signal);
    } finally {
      this.#slots.leave();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#session?.end('the publisher was closed');
  }

  async #try(message: OutboundEnvelope, endsAtMs: number, signal: AbortSignal | undefined): Promise<Outcome> {
    if (this.#closed) return CLOSED;
    if (signal?.aborted) return NOT_SENT;
    const session = this.#connect();
    if (!session) return this.#lastFailure;
    const failure = await this.#within(session.ready, endsAtMs);
    if (this.#closed) return CLOSED;
    if (failure) return failure;
    if (signal?.aborted) return NOT_SENT;
    const topic = `${this.#options.topic_prefix}/${message.gateway}/${message.stream}`;
    const receivedBefore = session.packetsReceived;
    const outcome = await session.publish(topic, message.bytes, this.#left(endsAtMs));
    this.#judge(session, outcome, session.packetsReceived > receivedBefore);
    return outcome;
  }

  /** The connection there is, or a new one; null while it is too soon for that. */
  #connect(): Session | null {
    const last = this.#session;
    if (last && !last.ended) return last;
    const gapMs = Math.min(CONNECT_GAP_LAST_MS, CONNECT_GAP_FIRST_MS * 2 ** Math.max(0, this.#failures - 1));
    if (last && this.#clock.monoMs() - last.startedAtMs < gapMs) return null;
    const session = new Session(this.#clientOptions, this.#clock);
    this.#session = session;
    this.#silentTries = 0;
    void session.ready.then((failure) => {
      this.#failures = failure ? this.#failures + 1 : 0;
      this.#lastFailure = failure ?? BETWEEN_CONNECTS;
    });
    return session;
  }

  async #within(ready: Promise<Outcome | null>, endsAtMs: number): Promise<Outcome | null> {
    const done = new AbortController();
    const late = this.#clock.sleep(this.#left(endsAtMs), done.signal).then(() => CONNECTING);
    const first = await Promise.race([ready, late]);
    done.abort();
    return first;
  }

  #left(endsAtMs: number): number {
    return Math.max(1, endsAtMs - this.#clock.monoMs());
  }

  /**
   * A black hole ends no connection: after some tries without a sign of life, the next goes out on a new one.
   */
  #judge(session: Session, outcome: Outcome, alive: boolean): void {
    if (session !== this.#session) return;
    const silent = outcome.kind === 'unknown' && outcome.cause === 'deadline' && !alive;
    this.#silentTries = silent ? this.#silentTries + 1 : 0;
    const ageMs = this.#clock.monoMs() - session.startedAtMs;
    if (this.#silentTries < SILENT_TRIES || ageMs < MIN_SESSION_AGE_MS) return;
    this.#log.warn({ event: 'mqtt.session_silent', silentTries: this.#silentTries });
    session.end('the connection went silent');
  }
}

function clientId({ client_id }: MqttOptions): { clientId?: string } {
  return client_id === undefined ? {} : { clientId: client_id };
}
