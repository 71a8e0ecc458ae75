/**
 * Reads envelopes from any MQTT broker, MQTT 3.1.1, QoS 1, with a persistent session: the broker keeps every
 * message that the router has not acknowledged and delivers it again. The PUBACK leaves only after the
 * handler settled the message (I5). MQTT 3.1.1 has no way to refuse a message. For a retry, the source leaves
 * the message unacknowledged and ends the connection; it reconnects when the ledger commits again, and the
 * broker redelivers the message.
 *
 * mqtt.js delivers one message at a time and acknowledges it on a callback (`handleMessage`, "with
 * backpressure"), so one message is in hand at a time. A client id belongs to one router: a second router
 * with the same id would take over the session.
 */
import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt';
import { Backoff } from '../../../shared/backoff.ts';
import { errorText } from '../../../shared/log.ts';
import { mqttClientOptions, mqttOrigin } from '../../../shared/mqtt.ts';
import { within } from '../../../shared/within.ts';
import { providerProperties } from '../properties.ts';
import {
  type DeliveryHandler,
  OPEN_GATE,
  type Source,
  type SourceDeps,
  type SourceState,
} from '../source.ts';
import { Standing } from '../standing.ts';
import type { MqttSourceOptions } from './options.ts';

/** Pause between two connections. */
const BACKOFF = { firstMs: 250, lastMs: 10_000 };
/** A connection that lasts this long, or settles a message, resets the backoff. */
const LASTING_MS = 30_000;
/** mqtt.js pings after this much silence, and ends the connection after half as much again. */
const KEEPALIVE_S = 6;
/** mqtt.js's error texts for an unanswered ping and an unanswered CONNECT. */
const SILENCES: ReadonlySet<string> = new Set(['Keepalive timeout', 'connack timeout']);
/** Limit from the SUBSCRIBE to the SUBACK. */
const SUBSCRIBE_MS = 5000;
/** Limit for the message in hand at a stop. */
const STOP_MS = 5000;
/** Limit for the DISCONNECT. */
const DISCONNECT_MS = 500;

export class MqttSource implements Source {
  readonly name: string;
  readonly type = 'mqtt';
  readonly #options: MqttSourceOptions;
  readonly #deps: SourceDeps;
  readonly #standing = new Standing();
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  #client: MqttClient | null = null;
  #inHand: Promise<void> = Promise.resolve();
  #running: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | null = null;

  constructor(name: string, options: MqttSourceOptions, deps: SourceDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
    this.#backoff = new Backoff(BACKOFF, deps.entropy);
  }

  state(): SourceState {
    return this.#standing.state();
  }

  start(handler: DeliveryHandler): Promise<void> {
    this.#running = this.#run(handler);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { clock } = this.#deps;
    this.#stopping.abort();
    await within(clock, STOP_MS, this.#inHand, () => undefined);
    const client = this.#client;
    this.#client = null;
    this.#standing.stopped();
    if (client) {
      // The DISCONNECT follows the last PUBACK on the same stream; a connection that does not take it in time
      // is cut.
      const ended = new Promise<void>((resolve) => client.end(false, () => resolve()));
      await within(clock, DISCONNECT_MS, ended, () => undefined);
      client.stream.destroy();
    }
    await within(clock, DISCONNECT_MS, this.#running, () => undefined);
  }

  /** Runs one connection after the other. Never rejects. */
  async #run(handler: DeliveryHandler): Promise<void> {
    const { clock, gate = OPEN_GATE, log } = this.#deps;
    const { signal } = this.#stopping;
    const { connect } = await import('mqtt');
    while (!signal.aborted) {
      await gate.opened(signal);
      if (signal.aborted) return;
      const startedMs = clock.monoMs();
      try {
        // Read for each connection, so that a renewed file takes effect.
        const options = await this.#clientOptions();
        if (signal.aborted) return;
        await this.#serve(connect(options), handler);
      } catch (error) {
        this.#failed('source.mqtt.error', errorText(error));
      }
      if (signal.aborted) return;
      if (clock.monoMs() - startedMs > LASTING_MS) this.#backoff.reset();
      const delayMs = this.#backoff.failed();
      log.warn({ event: 'source.mqtt.closed', source: this.name, delayMs });
      await clock.sleep(delayMs, signal);
    }
  }

  async #clientOptions(): Promise<IClientOptions> {
    const options = await mqttClientOptions(this.#options, this.#deps.clock);
    return {
      ...options,
      ...mqttOrigin(this.#options),
      keepalive: KEEPALIVE_S,
      clean: false,
      clientId: this.#options.client_id,
    };
  }

  /** Resolves when the connection is over. */
  async #serve(client: MqttClient, handler: DeliveryHandler): Promise<void> {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    client.on('error', (error) => {
      const text = errorText(error);
      if (SILENCES.has(text)) this.#standing.cut(text);
      this.#failed('source.mqtt.error', text);
    });
    client.once('connect', () => void this.#subscribe(client));
    client.handleMessage = (packet, acknowledge) => this.#take(client, packet, handler, acknowledge);
    client.once('close', resolve);
    this.#client = client;
    await closed;
    if (this.#client !== client) return;
    this.#client = null;
    if (this.#standing.connected) this.#standing.lost('the connection was closed');
  }

  async #subscribe(client: MqttClient): Promise<void> {
    // Subscribes on each connection, even to a resumed session: a broker that lost its sessions would stay
    // silent.
    const answered = new Promise<Error | null>((resolve) => {
      client.subscribe(`${this.#options.topic_prefix}/+/+`, { qos: 1 }, (error) => resolve(error));
    });
    const answer = await within(this.#deps.clock, SUBSCRIBE_MS, answered, () => 'late' as const);
    if (this.#client !== client) return;
    if (answer === null) {
      this.#standing.proven();
      return;
    }
    if (answer === 'late') this.#standing.cut(`subscribe: no answer in ${SUBSCRIBE_MS} ms`);
    else this.#failed('source.mqtt.not_subscribed', errorText(answer));
    client.end(true);
  }

  /**
   * Without a call of `acknowledge`, this message and all after it stay unacknowledged: the wanted result of
   * a stop or a retry.
   */
  #take(client: MqttClient, packet: IPublishPacket, handler: DeliveryHandler, acknowledge: () => void): void {
    if (this.#stopping.signal.aborted || this.#client !== client) return;
    this.#inHand = this.#handle(client, packet, handler, acknowledge);
  }

  async #handle(
    client: MqttClient,
    packet: IPublishPacket,
    handler: DeliveryHandler,
    acknowledge: () => void,
  ): Promise<void> {
    this.#standing.received(1, this.#deps.clock.wallMs());
    const settlement = await handler({
      source: this.name,
      bytes: Buffer.from(packet.payload),
      // The topic names a gateway; the option says whether the broker lets only that gateway publish there.
      authenticatedGateway: this.#options.topic_authenticated
        ? (packet.topic.split('/').at(-2) ?? null)
        : null,
      deliveryCount: null,
      properties: () => providerProperties({ topic: packet.topic, retain: packet.retain, dup: packet.dup }),
    });
    if (settlement === 'settle') {
      this.#backoff.reset();
      this.#standing.settled(1);
      acknowledge();
    } else {
      this.#failed('source.mqtt.retry', 'a message was not committed; the broker will deliver it again');
      client.end(true);
    }
  }

  #failed(event: string, error: string): void {
    this.#standing.lost(error);
    this.#deps.log.warn({ event, source: this.name, error });
  }
}
