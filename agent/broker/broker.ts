/**
 * The MQTT broker that devices publish to: aedes 1.2.0 with the durable intake in its way.
 *
 * `authorizePublish` is the only hook that runs before a PUBACK, so the record is stored inside it, for every QoS and for
 * wills, and the acknowledgement leaves when it returns (I1). MQTT 3.1.1 has no negative acknowledgement: what cannot be
 * stored ends the connection without one, and the device sends it again. A chunk of a socket is read only when all
 * packets of the chunk before are answered, so a slow disk slows the devices down and nothing piles up (I10).
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Aedes, type Client, type ConnectPacket, type PublishPacket } from 'aedes';
import type { Clock } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import { topicNameProblem } from '../../shared/topic-filter.ts';
import { ExactlyOnce } from './exactly-once.ts';
import type { Publish } from './intake.ts';
import { type BrokerLimits, type Listener, type ListenerOptions, openListener } from './listener.ts';
import { limitPackets } from './packet-limit.ts';
import { type RefusalReason, Refusals } from './refusals.ts';

export interface BrokerOptions {
  listeners: readonly ListenerOptions[];
  limits: BrokerLimits;
  clock: Clock;
  log: Logger;
  /** Resolves when the publish is durable; a rejection ends the connection without an acknowledgement. */
  intake: (publish: Publish) => Promise<void>;
}

export interface BrokerStats {
  connections: number;
  /** Publishes taken. */
  published: number;
  /** Connections and publishes not taken. */
  refused: number;
  refusals: Partial<Record<RefusalReason, number>>;
}

type Done = (error?: Error | null) => void;

/** CONNACK return code "identifier rejected", MQTT 3.1.1 section 3.2.2.3. */
const IDENTIFIER_REJECTED = 2;

export class Broker implements Service {
  readonly #options: BrokerOptions;
  readonly #log: Logger;
  readonly #refusals: Refusals;
  readonly #aedes: Aedes;
  readonly #connections = new Set<Duplex>();
  readonly #refusedIds = new WeakSet<Client>();
  readonly #intakes = new Set<Promise<void>>();
  #exactlyOnce: ExactlyOnce | null = null;
  #listeners: Listener[] = [];
  #published = 0;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#refusals = new Refusals(options.clock, options.log);
    this.#aedes = new Aedes({
      connectTimeout: options.limits.connectTimeoutMs,
      // Any limit would refuse clients that ask for none, which MQTT 3.1.1 allows them to.
      keepaliveLimit: 0,
      preConnect: (client, packet, callback) => {
        if (isIdRefused(packet)) this.#refusedIds.add(client);
        callback(null, true);
      },
      authenticate: (client, _username, _password, done) => {
        if (!this.#refusedIds.has(client)) return done(null, true);
        this.#refusals.add('client-id');
        const error = new Error('identifier rejected');
        done(Object.assign(error, { returnCode: IDENTIFIER_REJECTED } as const), null);
      },
      authorizePublish: (client, packet, done) => this.#authorizePublish(client, packet, done),
    });
    this.#aedes.on('clientError', (client, error) => this.#logEnded(client, error));
    this.#aedes.on('connectionError', (client, error) => this.#logEnded(client, error));
    // An 'error' that nobody listens to would end the process.
    this.#aedes.addListener('error', (error: unknown) => {
      this.#log.error({ event: 'broker.error', error: errorText(error) });
    });
  }

  /** Listens on all addresses, or rejects and on none. */
  async start(): Promise<void> {
    await this.#aedes.listen();
    this.#exactlyOnce = new ExactlyOnce(this.#aedes);
    try {
      for (const options of this.#options.listeners) {
        const listener = await openListener(options, this.#options.limits, (connection, request) =>
          this.#accept(connection, request),
        );
        this.#listeners.push(listener);
        this.#log.info({ event: 'broker.listening', ...listener.address });
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Ends all connections; wills of the devices are taken in. Resolves when every intake under way is over. */
  async stop(): Promise<void> {
    const closed = this.#listeners.map((listener) => listener.close());
    this.#listeners = [];
    await new Promise<void>((resolve) => this.#aedes.close(() => resolve()));
    for (const connection of this.#connections) connection.destroy();
    await Promise.all(closed);
    while (this.#intakes.size > 0) await Promise.allSettled(this.#intakes);
  }

  /** Where it listens, with the ports it got. */
  addresses(): ListenerOptions[] {
    return this.#listeners.map(({ address }) => address);
  }

  stats(): BrokerStats {
    return {
      connections: this.#connections.size,
      published: this.#published,
      refused: this.#refusals.total,
      refusals: this.#refusals.byReason(),
    };
  }

  #accept(connection: Duplex, request?: IncomingMessage): void {
    const { maxConnections, maxPacketBytes } = this.#options.limits;
    if (this.#connections.size >= maxConnections) {
      this.#refusals.add('connection-limit', { maxConnections });
      connection.destroy();
      return;
    }
    this.#connections.add(connection);
    connection.once('close', () => this.#connections.delete(connection));
    const client = this.#aedes.handle(connection, request);
    limitPackets(client, maxPacketBytes, (bytes) =>
      this.#refusals.add('packet-too-large', { bytes, device: client.id ?? '' }),
    );
  }

  #authorizePublish(client: Client | null, packet: PublishPacket, done: Done): void {
    if (!client) {
      // Only aedes' own clearing of wills after a stalled heartbeat comes without a client.
      done(new Error('a will of nobody'));
      return;
    }
    const refusal = refusalOf(packet.topic);
    if (refusal) {
      this.#refusals.add(refusal, { device: client.id, topic: packet.topic });
      end(client, done, `topic refused: ${refusal}`);
      return;
    }
    const taken = this.#take(client, packet).then(
      () => done(null),
      (error: unknown) => {
        this.#refusals.add('intake-failed', {
          device: client.id,
          topic: packet.topic,
          error: errorText(error),
        });
        // QoS 0 expects no acknowledgement, so there is none to withhold.
        if (packet.qos === 0) done(null);
        else end(client, done, 'the record is not durable');
      },
    );
    this.#intakes.add(taken);
    void taken.finally(() => this.#intakes.delete(taken));
  }

  #take(client: Client, packet: PublishPacket): Promise<void> {
    const store = async (): Promise<void> => {
      await this.#options.intake({
        device: client.id,
        topic: packet.topic,
        payload: typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload,
        qos: packet.qos,
        retransmitted: packet.dup === true,
      });
      this.#published += 1;
    };
    // A will has no packet id, and nobody repeats it.
    if (packet.qos !== 2 || packet.messageId === undefined || !this.#exactlyOnce) return store();
    return this.#exactlyOnce.take(client, packet, packet.messageId, store);
  }

  #logEnded(client: Client, error: Error): void {
    this.#log.debug({ event: 'broker.client_error', device: client.id ?? '', error: errorText(error) });
  }
}

/**
 * Ends the connection without an acknowledgement. The error alone would do it in aedes 1.2.0; the socket is destroyed here
 * because newer versions answer MQTT 5 clients with a reason code instead and keep them.
 */
function end(client: Client, done: Done, reason: string): void {
  client.conn.destroy();
  done(new Error(reason));
}

/** [MQTT-3.1.3-8], and ids that a ledger could not store. */
function isIdRefused({ clientId, clean }: ConnectPacket): boolean {
  return (clientId === '' && clean !== true) || clientId.includes('\0');
}

function refusalOf(topic: string): RefusalReason | null {
  if (topic.startsWith('$')) return 'reserved-topic';
  return topicNameProblem(topic) === null ? null : 'invalid-topic';
}
