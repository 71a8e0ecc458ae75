/**
 * Reads envelopes from any MQTT broker, MQTT 3.1.1, QoS 1, with a persistent session: what the router has not
 * acknowledged, the broker keeps and delivers again. The PUBACK leaves only after the handler settled the
 * message (I5); 3.1.1 has no way to refuse one, so a message to be retried is left unacknowledged and the
 * connection ended: the broker delivers it again on the next.
 *
 * mqtt.js hands over one message at a time and acknowledges it when told (`handleMessage`, "with
 * backpressure"), so one is in hand at a time. A client id belongs to one router: a second one with the same
 * id would take the session over.
 */
import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt';
import type { Timer } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { mqttClientOptions } from '../../../shared/mqtt.ts';
import { providerProperties } from '../properties.ts';
import {
  type DeliveryHandler,
  initialSourceState,
  type Source,
  type SourceDeps,
  type SourceState,
} from '../source.ts';
import type { MqttSourceOptions } from './options.ts';

/**
 * Between the end of one connection and the next: doubled each time, until a message is settled or a
 * connection lasts.
 */
const RECONNECT_FIRST_MS = 250;
const RECONNECT_LAST_MS = 30_000;
const LASTING_MS = 30_000;
/** For the message in hand at the end. */
const STOP_MS = 5000;
/** For saying goodbye to the broker. */
const DISCONNECT_MS = 500;

export class MqttSource implements Source {
  readonly name: string;
  readonly type = 'mqtt';
  readonly #options: MqttSourceOptions;
  readonly #deps: SourceDeps;
  readonly #state = initialSourceState();
  #client: MqttClient | null = null;
  #inHand: Promise<void> = Promise.resolve();
  #reconnect: Timer | null = null;
  #failures = 0;
  #stopped: boolean = false;
  #stopping: Promise<void> | null = null;

  constructor(name: string, options: MqttSourceOptions, deps: SourceDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
  }

  state(): SourceState {
    return { ...this.#state };
  }

  async start(handler: DeliveryHandler): Promise<void> {
    const { connect } = await import('mqtt');
    const options: IClientOptions = {
      ...(await mqttClientOptions(this.#options)),
      clean: false,
      clientId: this.#options.client_id,
    };
    const open = (): void => this.#serve(connect({ ...options }), handler, open);
    if (!this.#stopped) open();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#stopped = true;
    this.#reconnect?.cancel();
    await this.#bounded(this.#inHand, STOP_MS);
    const client = this.#client;
    this.#client = null;
    this.#state.connected = false;
    if (!client) return;
    // The DISCONNECT follows the last PUBACK on the same stream; a connection that does not take it is cut.
    await this.#bounded(new Promise<void>((resolve) => client.end(false, () => resolve())), DISCONNECT_MS);
    client.stream.destroy();
  }

  /** One connection, from its CONNECT to its end. */
  #serve(client: MqttClient, handler: DeliveryHandler, open: () => void): void {
    this.#client = client;
    const startedAtMs = this.#deps.clock.monoMs();
    client.on('error', (error) => this.#note('source.mqtt.error', errorText(error)));
    client.once('connect', () => this.#subscribe(client));
    client.handleMessage = (packet, acknowledge) => this.#take(client, packet, handler, acknowledge);
    client.once('close', () => {
      this.#state.connected = false;
      if (this.#client === client) this.#client = null;
      if (this.#stopped) return;
      if (this.#deps.clock.monoMs() - startedAtMs > LASTING_MS) this.#failures = 0;
      const ceilingMs = Math.min(RECONNECT_LAST_MS, RECONNECT_FIRST_MS * 2 ** this.#failures);
      const delayMs = ceilingMs * (0.5 + this.#deps.entropy.float() / 2);
      this.#failures += 1;
      this.#deps.log.warn({ event: 'source.mqtt.closed', source: this.name, delayMs });
      this.#reconnect = this.#deps.clock.setTimer(delayMs, open);
    });
  }

  #subscribe(client: MqttClient): void {
    // Each time, also into a session that has it: a broker that lost its sessions would stay silent for ever.
    client.subscribe(`${this.#options.topic_prefix}/+/+`, { qos: 1 }, (error) => {
      if (this.#client !== client) return;
      if (error) {
        this.#note('source.mqtt.not_subscribed', errorText(error));
        client.end(true);
      } else {
        this.#state.connected = true;
      }
    });
  }

  /** Not calling `acknowledge` holds this message and all after it, which is what a stop and a retry want. */
  #take(client: MqttClient, packet: IPublishPacket, handler: DeliveryHandler, acknowledge: () => void): void {
    if (this.#stopped || this.#client !== client) return;
    this.#inHand = this.#handle(client, packet, handler, acknowledge);
  }

  async #handle(
    client: MqttClient,
    packet: IPublishPacket,
    handler: DeliveryHandler,
    acknowledge: () => void,
  ): Promise<void> {
    this.#state.received += 1;
    this.#state.lastReceivedMs = this.#deps.clock.wallMs();
    const settlement = await handler({
      source: this.name,
      bytes: Buffer.from(packet.payload),
      // The topic names a gateway; whether the broker lets only that one publish there, the operator knows.
      authenticatedGateway: this.#options.topic_authenticated
        ? (packet.topic.split('/').at(-2) ?? null)
        : null,
      deliveryCount: null,
      properties: () => providerProperties({ topic: packet.topic, retain: packet.retain, dup: packet.dup }),
    });
    if (settlement === 'settle') {
      this.#failures = 0;
      this.#state.settled += 1;
      acknowledge();
    } else {
      this.#note('source.mqtt.retry', 'a message was not committed; the broker will deliver it again');
      client.end(true);
    }
  }

  #note(event: string, error: string): void {
    this.#state.lastError = error;
    this.#deps.log.warn({ event, source: this.name, error });
  }

  async #bounded(work: Promise<void>, limitMs: number): Promise<void> {
    const done = new AbortController();
    await Promise.race([work, this.#deps.clock.sleep(limitMs, done.signal)]);
    done.abort();
  }
}
