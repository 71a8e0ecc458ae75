/**
 * Publishes the ledger's records to any MQTT broker: MQTT 3.1.1, QoS 1. A batch is done when every PUBACK has
 * arrived.
 *
 * mqtt.js neither reconnects nor queues here: a lost connection fails the batch, and the next try connects
 * anew. Names come from gateways and devices, so the sink replaces characters that a topic may not hold:
 * otherwise one odd name would make the broker drop the connection for ever.
 */
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { brokerAddress } from '../../../shared/mqtt.ts';
import { within } from '../../../shared/within.ts';
import type { LedgerRecord } from '../../ledger/types.ts';
import { DeliveryError, type FeedSink } from '../sink.ts';
import type { MqttFeedOptions } from './mqtt-options.ts';
import { payloadOf, recordJson } from './record-json.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A silent connection is detected after one and a half times this. */
const KEEPALIVE_S = 6;
const CLOSE_MS = 5000;
/** For a whole batch; then the sink drops the connection, and the next try connects anew. */
const BATCH_DEADLINE_MS = 30_000;
/** A topic takes as many bytes of UTF-8 (MQTT 3.1.1, 4.7.3). */
const TOPIC_BYTES_MAX = 65_535;

/** Fills the template. U+0000 and wildcards become `_`; so does a `/` in a name, which stays one level. */
export function feedTopic(template: string, record: LedgerRecord): string {
  const level = (name: string): string => name.replaceAll('/', '_');
  const values: Record<string, string> = {
    gateway: level(record.gateway),
    stream: level(record.stream),
    device: level(record.device),
    topic: record.topic,
  };
  const topic = template
    .replaceAll(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole)
    .replaceAll(/[+#\0]/g, '_');
  const bytes = Buffer.from(topic);
  if (bytes.length <= TOPIC_BYTES_MAX) return topic;
  let end = TOPIC_BYTES_MAX;
  // Not within a character: its bytes after the first begin with the bits 10.
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}

export class MqttSink implements FeedSink {
  readonly #template: string;
  readonly #message: MqttFeedOptions['message'];
  readonly #clientOptions: IClientOptions;
  readonly #clock: Clock;
  #client: MqttClient | null = null;

  /** `name` is the feed's. */
  constructor(name: string, options: MqttFeedOptions, clock: Clock) {
    const { username, password, ca, cert, key } = options;
    this.#template = options.topic;
    this.#message = options.message;
    this.#clock = clock;
    this.#clientOptions = {
      ...brokerAddress(options.url),
      clientId: options.client_id ?? `headgate-feed-${name}`,
      clean: true,
      keepalive: KEEPALIVE_S,
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectPeriod: 0,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    };
  }

  async write(records: readonly LedgerRecord[]): Promise<number> {
    const client = this.#client ?? this.#connect();
    const loss = lossOf(client, this.#clock);
    let isPublishing: boolean = false;
    try {
      // Publishes before the CONNACK would leave one by one, each after the PUBACK of the one before
      // (mqtt.js).
      if (!client.connected) await Promise.race([connected(client), loss.happened]);
      isPublishing = true;
      const acknowledged = records.map((record) =>
        client.publishAsync(feedTopic(this.#template, record), this.#messageOf(record), { qos: 1 }),
      );
      await Promise.race([Promise.all(acknowledged), loss.happened]);
      return records.length;
    } catch (error) {
      this.#drop(client);
      // MQTT 3.1.1 knows no refusal of a message: the broker ends the connection, or acknowledges nothing.
      if (isPublishing) throw new DeliveryError(errorText(error), { refusal: 'suspected', cause: error });
      throw error;
    } finally {
      loss.release();
    }
  }

  /** The keepalive ends a silent connection; without one it connects. */
  async check(): Promise<void> {
    const client = this.#client ?? this.#connect();
    if (client.connected) return;
    const loss = lossOf(client, this.#clock);
    try {
      await Promise.race([connected(client), loss.happened]);
    } catch (error) {
      this.#drop(client);
      throw error;
    } finally {
      loss.release();
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client) await within(this.#clock, CLOSE_MS, client.endAsync(true), () => undefined);
  }

  #messageOf(record: LedgerRecord): Buffer {
    return this.#message === 'payload' ? payloadOf(record) : Buffer.from(recordJson(record));
  }

  #connect(): MqttClient {
    const client = connect({ ...this.#clientOptions });
    this.#client = client;
    // A batch under way has its own listener for errors; between batches the next write connects anew.
    client.on('error', () => this.#drop(client));
    client.on('close', () => this.#drop(client));
    return client;
  }

  #drop(client: MqttClient): void {
    if (this.#client === client) this.#client = null;
    client.end(true);
  }
}

function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve) => client.once('connect', () => resolve()));
}

/** A promise that rejects when the connection fails or the deadline passes, and how to release it. */
function lossOf(client: MqttClient, clock: Clock): { happened: Promise<never>; release: () => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  const closed = (): void => reject(new Error('the connection to the broker was lost'));
  client.once('error', reject);
  client.once('close', closed);
  const timer = clock.setTimer(BATCH_DEADLINE_MS, () =>
    reject(new Error(`not acknowledged within ${BATCH_DEADLINE_MS / 1000} s`)),
  );
  return {
    happened: promise,
    release: () => {
      timer.cancel();
      client.off('error', reject);
      client.off('close', closed);
    },
  };
}
