/**
 * Publishes envelopes to an MQTT broker: QoS 1 on one shared connection, opened on demand and again after its
 * end.
 */
import type { IClientOptions } from 'mqtt';
import { pauseCeilingMs } from '../../../shared/backoff.ts';
import type { Clock } from '../../../shared/clock.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import { KEEPALIVE_S, mqttClientOptions, mqttOrigin } from '../../../shared/mqtt.ts';
import type { OutboundEnvelope, Outcome, PublishAttempt, Publisher } from '../publisher.ts';
import { isClogging, SilentTries } from '../silent-tries.ts';
import { Tries, type Try } from '../tries.ts';
import type { MqttOptions } from './options.ts';
import { Session } from './session.ts';

/** MQTT 3.1.1, section 3.1.2.10: sixteen bits. */
const KEEPALIVE_S_MAX = 65_535;

/** Minimum spacing of connects: a storm of connects would keep a broker down. */
const CONNECT_GAP = { firstMs: 250, lastMs: 1000 };
/** Most unacknowledged publishes of a connection, well below brokers' limits (I10). */
const MAX_IN_FLIGHT = 16;
/** A new connection gets some time for its CONNACK before it is judged. */
const SILENCE = { tries: 2, minAgeMs: 2000 };

const BETWEEN_CONNECTS: Outcome = {
  kind: 'retryable',
  cause: 'not-connected',
  detail: 'the connection was lost a moment ago',
};

/** Connects with the first publish. Rejects when a file of the options is not readable. */
export async function openMqttPublisher(
  options: MqttOptions,
  deps: { clock: Clock; log: Logger },
): Promise<Publisher> {
  return new MqttPublisher(options, await mqttClientOptions(options, deps.clock), deps);
}

class MqttPublisher implements Publisher {
  readonly type = 'mqtt';
  readonly maxEnvelopeBytes: number;
  readonly #options: MqttOptions;
  readonly #clientOptions: IClientOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #tries: Tries;
  readonly #silence: SilentTries;
  #session: Session | null = null;
  #lastFailure: Outcome = BETWEEN_CONNECTS;
  /** Connections in a row without an accepted publish. */
  #failures = 0;

  constructor(options: MqttOptions, clientOptions: IClientOptions, deps: { clock: Clock; log: Logger }) {
    this.maxEnvelopeBytes = options.max_envelope_bytes;
    this.#options = options;
    this.#clientOptions = { ...clientOptions, clean: true, ...clientId(options) };
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#tries = new Tries(deps.clock, MAX_IN_FLIGHT);
    this.#silence = new SilentTries(SILENCE, deps.clock);
  }

  async publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    if (message.bytes.length > this.maxEnvelopeBytes) {
      const detail = `${message.bytes.length} bytes are more than max_envelope_bytes`;
      return { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail };
    }
    let session: Session | null = null;
    let receivedBefore = 0;
    const outcome = await this.#tries.run(attempt, async (one) => {
      session = this.#connect(one) ?? (await this.#connectLater(one));
      if (!session) return this.#lastFailure;
      receivedBefore = session.packetsReceived;
      return this.#send(session, message, one);
    });
    if (session) this.#judge(session, outcome, receivedBefore, message.bytes.length);
    return outcome;
  }

  close(): Promise<void> {
    this.#tries.close();
    this.#session?.end('the publisher was closed');
    return Promise.resolve();
  }

  async #send(session: Session, message: OutboundEnvelope, one: Try): Promise<Outcome> {
    one.reach(() => session.phase);
    const failure = await session.ready;
    if (failure) return failure;
    const topic = `${this.#options.topic_prefix}/${message.gateway}/${message.stream}`;
    return session.publish(topic, message.bytes, one);
  }

  /** The last connection was open: its end says nothing of the next one, which has to wait for its time. */
  async #connectLater(one: Try): Promise<Session | null> {
    if (this.#lastFailure !== BETWEEN_CONNECTS) return null;
    one.reach('connect');
    let session: Session | null = null;
    while (session === null && !one.isOver && this.#lastFailure === BETWEEN_CONNECTS) {
      await this.#clock.sleep(Math.ceil(this.#connectInMs));
      if (!one.isOver) session = this.#connect(one);
    }
    return session;
  }

  get #connectInMs(): number {
    const last = this.#session;
    const gapMs = this.#failures === 0 ? 0 : pauseCeilingMs(CONNECT_GAP, this.#failures);
    return last === null ? 0 : Math.max(0, last.startedAtMs + gapMs - this.#clock.monoMs());
  }

  /** The present connection, or a new one; null while it is too early for a new one. */
  #connect({ leftMs }: Try): Session | null {
    const last = this.#session;
    if (last?.isFor(leftMs)) return last;
    last?.retire();
    if (this.#connectInMs > 0) return null;
    const keepalive = Math.max(KEEPALIVE_S, Math.ceil(leftMs / 1000));
    const session = this.#newSession(Math.min(keepalive, KEEPALIVE_S_MAX));
    if (session === null) return null;
    this.#session = session;
    this.#failures += 1;
    this.#silence.opened();
    void session.ready.then((failure) => {
      this.#lastFailure = failure ?? BETWEEN_CONNECTS;
    });
    return session;
  }

  /** Null when the interface that it is to come from has no address. */
  #newSession(keepalive: number): Session | null {
    try {
      const options = { ...this.#clientOptions, ...mqttOrigin(this.#options), keepalive };
      return new Session(options, this.#clock);
    } catch (error) {
      this.#lastFailure = { kind: 'retryable', cause: 'not-connected', detail: errorText(error) };
      return null;
    }
  }

  #judge(session: Session, outcome: Outcome, receivedBefore: number, bytes: number): void {
    if (outcome.kind === 'accepted') this.#failures = 0;
    if (isClogging(outcome, bytes)) session.retire();
    if (session !== this.#session) return;
    if (!this.#silence.isDeadAfter(outcome, session.packetsReceived > receivedBefore)) return;
    this.#log.warn({ event: 'mqtt.session_silent', silentTries: this.#silence.inARow });
    session.end('the connection went silent');
  }
}

function clientId({ client_id }: MqttOptions): { clientId?: string } {
  return client_id === undefined ? {} : { clientId: client_id };
}
