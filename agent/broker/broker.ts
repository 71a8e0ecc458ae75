/**
 * The MQTT broker that devices publish to: aedes 1.2.0 with the durable intake in its publish path.
 *
 * `authorizePublish` is the only hook that runs before a PUBACK. So the record is stored inside it, for every
 * QoS and for wills, and the acknowledgement leaves when it returns (I1). MQTT 3.1.1 has no negative
 * acknowledgement: a publish that cannot be stored ends the connection, and the device sends it again. The
 * broker reads from a client only while little of its input is unanswered, so a slow disk slows the devices
 * down and memory stays bounded (I10).
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Aedes, type AedesOptions, type Client, type ConnectPacket, type Subscription } from 'aedes';
import type { Timer } from '../../shared/clock.ts';
import { ConnectRate } from '../../shared/connect-rate.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import { type Arrival, Gate, isIdRefused, RETURN_CODE, type Refused } from './access/gate.ts';
import { sendAtGrantedQos } from './aedes/granted-qos.ts';
import { Keepalive } from './aedes/keepalive.ts';
import { limitPackets } from './aedes/packet-limit.ts';
import { skipUnheard } from './aedes/skip-unheard.ts';
import { StoredSubscriptions } from './aedes/stored-subscriptions.ts';
import { refuseMalformed } from './aedes/strict-packets.ts';
import { limitUnacknowledged } from './aedes/unacknowledged-limit.ts';
import { ClientBook, type ClientEntry, RATE_EVERY_MS } from './client-book.ts';
import { ConnectDeadlines } from './listeners/connect-deadline.ts';
import type { ListenerOptions, ListenerParts } from './listeners/listener.ts';
import { type ListenerState, Listeners } from './listeners/listeners.ts';
import { connectionsByOpenFiles } from './listeners/open-files.ts';
import type { BrokerOptions, BrokerStats } from './options.ts';
import { publishOwnerlessWills } from './ownerless-wills.ts';
import { SESSION_PRESENT } from './persistence/sessions.ts';
import { PublishPath } from './publish-path.ts';
import { DeviceLimits } from './rates/device-limits.ts';
import { PacketRate } from './rates/packet-rate.ts';
import { isReserved, TopicLimits } from './rates/topic-limits.ts';
import { type RefusalReason, Refusals } from './refusals.ts';

/**
 * Clients whose connection ended with the agent have this long to reconnect before their wills are published.
 */
const WILL_GRACE_MS = 10_000;
const EXPIRE_EVERY_MS = 60_000;
/** A client that reads nothing for this long is disconnected. */
const DRAIN_TIMEOUT_MS = 30_000;

/** The state of a client's connection. */
interface Connected extends Arrival {
  /** The TCP connection under the client's stream. */
  socket: Socket;
  isHeldBack(): boolean;
  /** Null before CONNECT. */
  keepalive: Keepalive | null;
  /** The connection has logged in, or ended. */
  loggedIn(): void;
}

export class Broker implements Service {
  readonly #options: BrokerOptions;
  readonly #log: Logger;
  readonly #refusals: Refusals;
  readonly #book: ClientBook;
  readonly #aedes: Aedes;
  readonly #connections = new Set<Duplex>();
  readonly #gate: Gate;
  readonly #arrivals = new WeakMap<Client, Connected>();
  readonly #connects = new WeakMap<
    Client,
    { isIdRefused: boolean; willTopic: string | undefined; will: object | undefined }
  >();
  readonly #topics: TopicLimits;
  readonly #connectRate: ConnectRate;
  readonly #deviceLimits: DeviceLimits;
  readonly #publishPath: PublishPath;
  readonly #timers: Timer[] = [];
  #storedSubscriptions: StoredSubscriptions | null = null;
  readonly #maxConnections: number;
  readonly #deadlines: ConnectDeadlines;
  readonly #listeners: Listeners;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#log = options.log;
    const { clock, log } = options;
    this.#book = new ClientBook(clock, log);
    this.#refusals = new Refusals(clock, log, (...refusal) => this.#book.refused(...refusal));
    this.#gate = new Gate(options);
    this.#topics = new TopicLimits(options);
    this.#connectRate = new ConnectRate(options.limits, options.clock);
    this.#deviceLimits = new DeviceLimits(options.limits, options.clock);
    this.#publishPath = new PublishPath({
      options,
      gate: this.#gate,
      topics: this.#topics,
      refusals: this.#refusals,
      onPublished: (client) => this.#book.published(client),
    });
    this.#maxConnections = Math.min(options.limits.maxConnections, connectionsByOpenFiles() ?? Infinity);
    this.#deadlines = new ConnectDeadlines({
      clock: options.clock,
      limitMs: options.limits.connectTimeoutMs,
      onLate: (address) => this.#refusals.add('connect-timeout', { address }),
    });
    this.#listeners = new Listeners(options.listeners, {
      entropy: options.entropy,
      partsOf: (listener) => this.#listenerParts(listener),
    });
    const aedesOptions: AedesOptions = {
      persistence: options.sessions,
      // Ids of MQTT 3.1 are judged as they came: `isIdRefused`.
      maxClientsIdLength: Number.POSITIVE_INFINITY,
      // The connection's deadline comes earlier, and includes its handshakes: connect-deadline.ts.
      connectTimeout: 2 * options.limits.connectTimeoutMs,
      // Any limit would refuse clients without a keep alive, which MQTT 3.1.1 allows.
      keepaliveLimit: 0,
      preConnect: (client, packet, callback) => {
        this.#connectArrived(client, packet);
        callback(null, true);
      },
      authenticate: (client, username, password, done) => {
        this.#admit(client, username, password).then(
          (refused) => {
            if (refused === null) {
              if (!client.closed)
                this.#book.connected(client, client.id, this.#arrivals.get(client)?.address ?? '');
              return done(null, true);
            }
            const { reason, returnCode, problem } = refused;
            const address = this.#arrivals.get(client)?.address ?? '';
            this.#refusals.add(reason, { device: client.id, address, ...(problem && { problem }) });
            done(Object.assign(new Error(`connection refused: ${reason}`), { returnCode }), null);
          },
          (error: unknown) => {
            this.#log.error({ event: 'broker.error', error: errorText(error) });
            client.conn.destroy();
          },
        );
      },
      authorizePublish: (client, packet, done) => this.#publishPath.authorize(client, packet, done),
      authorizeSubscribe: (client, subscription, done) =>
        done(null, this.#isSubscriptionTaken(client, subscription) ? subscription : null),
      authorizeForward: (client, packet) =>
        this.#gate.mayReceive(client, packet.topic) && this.#isKeepingUp(client)
          ? // aedes would forward the publisher's DUP [MQTT-3.3.1-3].
            Object.assign(packet, { dup: options.sessions.isRepeated(packet) })
          : null,
      // 0: one slow subscriber must not delay the others. `maxUnsentBytes` bounds the messages that wait for
      // it.
      concurrency: 0,
      drainTimeout: DRAIN_TIMEOUT_MS,
    };
    this.#aedes = skipUnheard(new Aedes(aedesOptions), options.sessions.subscribedTopics);
    this.#aedes.on('clientError', (client, error) => this.#logEnded(client, error));
    this.#aedes.on('connectionError', (client, error) => this.#logEnded(client, error));
    // An 'error' event without a listener would end the process.
    this.#aedes.addListener('error', (error: unknown) => {
      this.#log.error({ event: 'broker.error', error: errorText(error) });
    });
  }

  /** Opens the listeners. A listener that fails is retried: {@link listeners} reports it. */
  async start(): Promise<void> {
    await this.#options.sessions.restore();
    await this.#aedes.listen();
    this.#storedSubscriptions = new StoredSubscriptions(this.#aedes);
    const { clock, sessions } = this.#options;
    this.#timers.push(
      clock.every(EXPIRE_EVERY_MS, () => void sessions.expire()),
      clock.every(RATE_EVERY_MS, () => this.#book.measure()),
      clock.setTimer(WILL_GRACE_MS, () => this.#publishOwnerlessWills()),
    );
    // Sessions from a disk that was unavailable at the start.
    sessions.onRestored(() =>
      this.#timers.push(clock.setTimer(WILL_GRACE_MS, () => this.#publishOwnerlessWills())),
    );
    await this.#listeners.start();
  }

  /** Ends all connections and records the devices' wills. Resolves when every intake under way has ended. */
  async stop(): Promise<void> {
    const closed = this.#listeners.stop();
    this.#deadlines.destroyAll();
    for (const timer of this.#timers) timer.cancel();
    await new Promise<void>((resolve) => this.#aedes.close(() => resolve()));
    for (const connection of this.#connections) connection.destroy();
    await closed;
    await this.#publishPath.idle();
    await this.#options.sessions.flush();
  }

  /** The addresses that the broker listens on, with the actual ports. */
  addresses(): ListenerOptions[] {
    return this.#listeners.addresses();
  }

  /** Each configured listener, with its address or its error. */
  listeners(): ListenerState[] {
    return this.#listeners.states();
  }

  /** Clients that came, connected or not. */
  clients(): readonly ClientEntry[] {
    return this.#book.all();
  }

  stats(): BrokerStats {
    return {
      connections: this.#connections.size,
      published: this.#publishPath.published,
      refused: this.#refusals.total,
      refusals: this.#refusals.byReason(),
      takenOver: this.#book.takenOver,
      deviceFile: this.#options.devices.state,
    };
  }

  #publishOwnerlessWills(): void {
    const rules = { gate: this.#gate, topics: this.#topics, refusals: this.#refusals };
    void publishOwnerlessWills(this.#aedes, this.#options, rules);
  }

  #isWithinConnectRate(address: string): boolean {
    const isWithin = this.#connectRate.allows(address);
    if (!isWithin) this.#refusals.add('connect-rate', { address });
    return isWithin;
  }

  #listenerParts({ type }: ListenerOptions): ListenerParts {
    const { limits, clock, log } = this.#options;
    const anonymous = this.#options.allowAnonymous && type !== 'tls';
    return {
      limits: { ...limits, maxConnections: this.#maxConnections },
      clock,
      log,
      deadlines: this.#deadlines,
      admits: (address) => this.#isWithinConnectRate(address),
      onConnection: (connection, arrival, socket, request) =>
        this.#accept(connection, { ...arrival, anonymous }, socket, request),
      onRefused: (reason, address, problem) => this.#refusals.add(reason, { address, problem }),
    };
  }

  /** CONNECT has arrived; from now on the keep alive applies. */
  #connectArrived(client: Client, packet: ConnectPacket): void {
    const willTopic = packet.will?.topic;
    // A will on a topic of the broker's own (the state of a bridge) is dropped when it is due, as a publish
    // is.
    const judged = willTopic !== undefined && isReserved(willTopic) ? undefined : willTopic;
    this.#connects.set(client, { isIdRefused: isIdRefused(packet), willTopic: judged, will: packet.will });
    const connected = this.#arrivals.get(client);
    if (!connected) return;
    const { protocolVersion: level, clientId: device } = packet;
    // aedes answers it with return code 1.
    if (level === 5) this.#refusals.add('protocol-version', { level, device, address: connected.address });
    packet.clientId = this.#gate.clientIdFor(packet, connected, this.#options.entropy);
    const { socket, isHeldBack } = connected;
    this.#deadlines.end(socket);
    connected.keepalive = new Keepalive(packet, {
      clock: this.#options.clock,
      client,
      socket,
      isHeldBack,
    });
  }

  #accept(connection: Duplex, arrival: Arrival, socket: Socket, request?: IncomingMessage): void {
    const { maxPacketBytes } = this.#options.limits;
    const maxConnections = this.#maxConnections;
    if (this.#connections.size >= maxConnections) {
      this.#refusals.add('connection-limit', { maxConnections });
      connection.destroy();
      return;
    }
    const { address } = arrival;
    const loggedIn = this.#deviceLimits.begin(address);
    if (loggedIn === null) {
      this.#refusals.add('address-limit', { address });
      connection.destroy();
      return;
    }
    this.#connections.add(connection);
    const client = this.#aedes.handle(connection, request);
    sendAtGrantedQos(client);
    const { isHeldBack } = this.#limitReads(client);
    this.#arrivals.set(client, { ...arrival, socket, isHeldBack, keepalive: null, loggedIn });
    connection.once('close', loggedIn);
    connection.once('close', () => {
      this.#connections.delete(connection);
      this.#book.disconnected(client);
      this.#gate.forget(client);
      this.#publishPath.forget(client);
      if (!client.clean && client.id !== null) this.#options.sessions.disconnected(client.id);
    });
    limitPackets(client, maxPacketBytes, (bytes) =>
      this.#refusals.add('packet-too-large', { bytes, device: client.id ?? '' }),
    );
    refuseMalformed(client, {
      onMalformed: (problem) =>
        this.#refusals.add('malformed-packet', { problem, device: client.id ?? '', address }),
      onProtocolLevel: (level) => this.#refusals.add('protocol-version', { level, address }),
    });
  }

  #limitReads(client: Client): { isHeldBack(): boolean } {
    const { clock, limits } = this.#options;
    return limitUnacknowledged(client, {
      clock,
      rate: new PacketRate(limits.maxPacketRate, clock),
      onRead: () => {
        this.#arrivals.get(client)?.keepalive?.heard();
        this.#book.heard(client);
      },
      onSlowed: () => this.#refusals.add('packet-rate', { device: client.id ?? '' }),
    });
  }

  /** Null when the client may connect. */
  async #admit(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<Refused | null> {
    const arrival = this.#arrivals.get(client);
    const connect = this.#connects.get(client);
    if (!arrival || !connect) throw new Error('aedes changed: a login without CONNECT');
    if (connect.isIdRefused) return { reason: 'client-id', returnCode: RETURN_CODE.identifierRejected };
    const { willTopic } = connect;
    const asked = { clientId: client.id, username, password, willTopic };
    const refused = await this.#gate.admit(client, asked, arrival);
    if (refused !== null) return refused;
    const device = this.#gate.deviceOf(client);
    const reason = this.#limitOf(client, device);
    if (reason !== null) return { reason, returnCode: RETURN_CODE.serverUnavailable };
    arrival.loggedIn();
    const { sessions } = this.#options;
    if (!client.clean && !sessions.hasRoomFor(client.id, device))
      return { reason: 'session-limit', returnCode: RETURN_CODE.serverUnavailable };
    const owner = this.#gate.ownerOf(client);
    await sessions.claim(client.id, owner, !client.clean);
    // Kept with the will, for a restart: see ownerless-wills.ts.
    if (connect.will) Object.assign(connect.will, { owner });
    if (client.clean) return null;
    sessions.connected(client.id);
    return null;
  }

  /** Counts one more connection of the device, or says why there may be none. */
  #limitOf({ conn }: Client, device: string | null): RefusalReason | null {
    if (device === null || conn.destroyed) return null;
    const ended = this.#deviceLimits.connect(device);
    if (typeof ended === 'string') return ended;
    conn.once('close', ended);
    return null;
  }

  #isSubscriptionTaken(client: Client, { topic }: Subscription): boolean {
    if (topic === SESSION_PRESENT && !client.connected) return false;
    const isAllowed = this.#gate.maySubscribe(client, topic);
    const reason =
      this.#topics.subscriptionRefusal(client, topic) ?? (isAllowed ? null : 'subscribe-not-allowed');
    if (reason === null) return true;
    this.#refusals.add(reason, { device: client.id, topic });
    this.#storedSubscriptions?.remove(client, topic);
    return false;
  }

  /**
   * Ends the connection of a client that does not read its messages. A persistent session goes on without the
   * connection.
   */
  #isKeepingUp({ id, conn }: Client): boolean {
    if (!('writableLength' in conn) || conn.writableLength <= this.#options.limits.maxUnsentBytes)
      return true;
    // aedes forwards more to it until its subscriptions are gone.
    if (!conn.destroyed) this.#refusals.add('slow-consumer', { device: id });
    conn.destroy();
    return false;
  }

  #logEnded(client: Client, error: Error): void {
    this.#log.debug({ event: 'broker.client_error', device: client.id ?? '', error: errorText(error) });
  }
}
