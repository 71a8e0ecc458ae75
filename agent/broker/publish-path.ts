/**
 * The path of a PUBLISH: topic limits, the device's rules, its rate, the durable intake, the acknowledgement.
 * aedes calls {@link PublishPath.authorize} before it acknowledges, so the record is durable when the PUBACK
 * or PUBREC leaves (I1). MQTT 3.1.1 has no negative acknowledgement: a record that cannot be stored ends the
 * connection, and the device sends it again.
 */
import type { Client, PublishPacket } from 'aedes';
import { errorText } from '../../shared/log.ts';
import type { SessionItem } from '../store/types.ts';
import type { Gate } from './access/gate.ts';
import type { BrokerOptions } from './options.ts';
import { PubackBatcher } from './qos/puback-batcher.ts';
import { PublishUnderWay, Qos1Duplicates } from './qos/qos1-duplicates.ts';
import { Qos2 } from './qos/qos2.ts';
import { PublishRate } from './rates/publish-rate.ts';
import type { TopicLimits } from './rates/topic-limits.ts';
import type { RefusalReason, Refusals } from './refusals.ts';

type Done = (error?: Error | null) => void;

/** The replacement topic of a refused publish that is acknowledged anyway; it has no subscribers. */
const REFUSED_TOPIC = '$headgate/refused';

/** Refusals that drop a QoS 0 publish and keep the connection: QoS 0 has no acknowledgement to withhold. */
const WITHOUT_ANSWER: ReadonlySet<RefusalReason> = new Set(['publish-not-allowed', 'record-too-large']);

export interface PublishPathParts {
  options: BrokerOptions;
  gate: Gate;
  topics: TopicLimits;
  refusals: Refusals;
  /** A publish of the client was recorded. */
  onPublished: (client: Client) => void;
}

export class PublishPath {
  readonly #options: BrokerOptions;
  readonly #gate: Gate;
  readonly #topics: TopicLimits;
  readonly #refusals: Refusals;
  readonly #rate: PublishRate;
  readonly #qos1Duplicates = new Qos1Duplicates((publish, error) => this.#settledQos1(publish, error));
  readonly #pubacks = new PubackBatcher();
  readonly #qos2: Qos2;
  /** Publishes whose commit is under way. */
  #underWay = 0;
  #onIdle: (() => void) | null = null;
  #published = 0;

  readonly #onPublished: PublishPathParts['onPublished'];

  constructor({ options, gate, topics, refusals, onPublished }: PublishPathParts) {
    this.#onPublished = onPublished;
    this.#options = options;
    this.#gate = gate;
    this.#topics = topics;
    this.#refusals = refusals;
    this.#rate = new PublishRate(options.limits, options.clock);
    this.#qos2 = new Qos2(options.sessions);
  }

  /** Publishes recorded since start. */
  get published(): number {
    return this.#published;
  }

  /** Resolves when no commit is under way. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#underWay === 0) resolve();
    });
  }

  /** Called when the client's connection has ended. */
  forget(client: Client): void {
    this.#rate.forget(client);
  }

  /** Calling `done` with an error ends the connection without an acknowledgement. */
  authorize(client: Client | null, packet: PublishPacket, done: Done): void {
    if (!client) {
      // aedes clears wills after a stalled heartbeat with a publish without a client; no other publish lacks
      // a client.
      done(new Error('a publish without a client'));
      return;
    }
    // aedes keeps it: a retained message counts for its device.
    Object.assign(packet, { clientId: client.id });
    const reason = this.#topics.refusal(packet.topic);
    if (reason !== null || !this.#gate.mayPublish(client, packet.topic)) {
      this.#refuse(client, packet, reason ?? 'publish-not-allowed', done);
      return;
    }
    const isLocal = this.#topics.isLocal(packet.topic);
    if (!isLocal && !this.#fits(client, packet)) {
      this.#refuse(client, packet, 'record-too-large', done);
      return;
    }
    const admission = this.#rate.admit(client, packet);
    if (admission === 'now') this.#admitted(client, packet, isLocal, done);
    else if (admission === 'wait') {
      this.#rate.wait(client, () => this.#admitted(client, packet, isLocal, done));
    } else {
      this.#refusals.add('publish-rate', { device: client.id });
      end(client, done, 'published too fast for too long');
    }
  }

  #fits({ id: device }: Client, { topic, payload }: PublishPacket): boolean {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    return this.#options.fits?.({ device, topic, payload: bytes }) ?? true;
  }

  #admitted(client: Client, packet: PublishPacket, isLocal: boolean, done: Done): void {
    if (isLocal) {
      this.#takeLocal(client, packet, done);
      return;
    }
    this.#underWay += 1;
    this.#take(client, packet, done);
  }

  #take(client: Client, packet: PublishPacket, done: Done): void {
    const { messageId, qos } = packet;
    // A will has no packet id and is never repeated.
    if (messageId === undefined || qos === 0) {
      this.#store(client, packet, null, (error) => this.#settled(client, packet, error, done));
    } else if (qos === 1) {
      const publish = new PublishUnderWay(client, packet, messageId, done);
      if (this.#qos1Duplicates.joinOrRegister(publish)) return;
      this.#store(client, packet, null, (error) => this.#qos1Duplicates.settle(publish, error));
    } else {
      const store = (session: SessionItem | null): Promise<void> =>
        new Promise((resolve, reject) => {
          this.#store(client, packet, session, (error) => (error ? reject(error) : resolve()));
        });
      const settled = (error: Error | null): void => this.#settled(client, packet, error, done);
      this.#qos2.take(client, packet, messageId, store).then(() => settled(null), settled);
    }
  }

  /**
   * Local topics have no records, but aedes would drop a publish with new content under a packet id that it
   * holds.
   */
  #takeLocal(client: Client, packet: PublishPacket, done: Done): void {
    const { messageId, qos } = packet;
    if (qos !== 2 || messageId === undefined) done(null);
    else this.#qos2.take(client, packet, messageId, () => Promise.resolve()).then(() => done(null), done);
  }

  #store(
    client: Client,
    { topic, payload, qos, dup }: PublishPacket,
    session: SessionItem | null,
    settled: (error: Error | null) => void,
  ): void {
    const publish = {
      device: client.id,
      topic,
      payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
      qos,
      retransmitted: dup === true,
      session,
    };
    this.#options.intake(publish, (error) => {
      if (!error) {
        this.#published += 1;
        this.#onPublished(client);
      }
      settled(error);
    });
  }

  #settledQos1(publish: PublishUnderWay, error: Error | null): void {
    const { client, packet, done } = publish;
    const { subscribedTopics } = this.#options.sessions;
    if (error || packet.retain || subscribedTopics.matches(packet.topic)) {
      this.#pubacks.flush(client);
      this.#settled(client, packet, error, done);
      return;
    }
    this.#pubacks.acknowledge(publish);
    this.#countSettled();
  }

  #settled(client: Client, packet: PublishPacket, error: Error | null, done: Done): void {
    if (error) this.#refuseLate(client, packet, error, done);
    else done(null);
    this.#countSettled();
  }

  #countSettled(): void {
    this.#underWay -= 1;
    if (this.#underWay === 0) this.#onIdle?.();
  }

  /** The record may not be durable. */
  #refuseLate(client: Client, packet: PublishPacket, error: Error, done: Done): void {
    const { topic, qos } = packet;
    this.#refusals.add('intake-failed', { device: client.id, topic, error: errorText(error) });
    // QoS 0 has no acknowledgement to withhold.
    if (qos === 0) done(null);
    else end(client, done, 'the record is not durable');
  }

  /**
   * A publish to a topic that begins with `$` is acknowledged, counted and dropped: those topics are the
   * broker's own, and one stray publish should not end a device's connection [MQTT-3.3.5-2]. A QoS 0 publish
   * that the device may not make is dropped too. Every other refusal ends the connection: MQTT 3.1.1 has no
   * negative acknowledgement.
   */
  #refuse(client: Client, packet: PublishPacket, reason: RefusalReason, done: Done): void {
    this.#refusals.add(reason, { device: client.id, topic: packet.topic });
    const isWithoutAnswer = packet.qos === 0 && WITHOUT_ANSWER.has(reason);
    const isDropped = reason === 'reserved-topic' || isWithoutAnswer;
    if (!isDropped) {
      end(client, done, `publish refused: ${reason}`);
      return;
    }
    // An error would end the connection, and without an answer aedes would stop reading. So the packet goes
    // on, without content, to a topic without subscribers.
    Object.assign(packet, { topic: REFUSED_TOPIC, payload: Buffer.alloc(0), retain: false });
    done(null);
  }
}

/**
 * Ends the connection without an acknowledgement. In aedes 1.2.0 the error alone would do so. Newer versions
 * answer MQTT 5 clients with a reason code and keep the connection, so the socket is destroyed here.
 */
function end(client: Client, done: Done, reason: string): void {
  client.conn.destroy();
  done(new Error(reason));
}
