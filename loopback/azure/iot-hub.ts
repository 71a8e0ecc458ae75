/**
 * IoT Hub's MQTT endpoint: MQTT 3.1.1 over TLS, device-to-cloud messages and twins (Azure docs, "Communicate
 * with an IoT hub using MQTT"). The broker is aedes. Only its `authorizePublish` runs before the PUBACK, so
 * every decision about a message, including the faults, is made there.
 */
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { Aedes, type AuthenticateError, type Client, type PublishPacket, type Subscription } from 'aedes';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import type { KeyAndCertificate } from '../ca.ts';
import type { Fault, FaultName } from '../faults.ts';
import type { Overload } from '../overload.ts';
import type { PermanentRefusal } from '../permanent-refusal.ts';
import { type Connect, type DeviceRegistry, parsePropertyBag } from './devices.ts';
import type { NewEvent } from './event-log.ts';
import { type Ingest, MESSAGE_MAX_BYTES, messageBytes, unitsOf } from './ingest.ts';
import { isObject, type JsonObject, parseJson, type Twins } from './twins.ts';

/** Faults that cut open connections when they begin. */
const CUTTING: ReadonlySet<FaultName> = new Set(['error', 'html503', 'unauthorized', 'brownout']);
const THROTTLE_MIN_MS = 1500;
const THROTTLE_SPREAD_MS = 500;
/** A throttled connection is cut this long after the first late PUBACK. */
const THROTTLE_CUT_MS = 50;
/** CONNACK return codes (MQTT 3.1.1, 3.2.2.3). */
const SERVER_UNAVAILABLE = 3;
const NOT_AUTHORIZED = 5;

/** Of `GET`; an MQTT CONNECT begins with 0x10. */
const FIRST_OF_GET = 0x47;

const TWIN_RESPONSES = '$iothub/twin/res/#';
const TWIN_DESIRED = '$iothub/twin/PATCH/properties/desired/#';

const HTML_503 =
  '<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>';
const HTTP_503 = `HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: ${HTML_503.length}\r\nConnection: close\r\n\r\n${HTML_503}`;

export interface IotHubOptions {
  devices: DeviceRegistry;
  ingest: Ingest;
  twins: Twins;
  overload: Overload;
  refusal: PermanentRefusal;
  server: KeyAndCertificate & { ca: string };
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

type Verdict = (error?: Error | null) => void;

interface TwinAnswer {
  status: number;
  body: string;
  version?: number;
}

export class IotHub implements Service {
  readonly #options: IotHubOptions;
  readonly #sockets = new Set<TLSSocket>();
  readonly #clients = new Map<string, Client>();
  /** Subscribed filters of each live connection: twin topics are per connection, not per broker. */
  readonly #filters = new WeakMap<Client, Set<string>>();
  #broker: Aedes | null = null;
  #server: Server | null = null;
  /** Made with the first WebSocket; gets its connections from the server above. */
  #upgrades: HttpServer | null = null;
  #port = 0;
  #fault: Fault | null = null;
  #isBasic: boolean = false;
  /**
   * Billed units of twin reads, writes and notifications (Azure docs, "Azure IoT Hub pricing information").
   */
  twinUnits = 0;

  constructor(options: IotHubOptions) {
    this.#options = options;
  }

  /** A hub of the basic tier has no twins: it ends a connection that requests one. */
  setBasicTier(isBasic: boolean): void {
    this.#isBasic = isBasic;
  }

  /** On 127.0.0.1. */
  get port(): number {
    return this.#port;
  }

  async start(): Promise<void> {
    const { cert, key, ca } = this.#options.server;
    const broker = await Aedes.createBroker({
      authenticate: (client, username, password, done) =>
        this.#authenticate(client, username, password, done),
      authorizePublish: (client, packet, done) => this.#receive(client, packet, done),
      authorizeSubscribe: (client, subscription, done) => done(null, this.#subscribe(client, subscription)),
    });
    broker.on('clientReady', (client) => this.#clients.set(client.id, client));
    broker.on('clientDisconnect', (client) => {
      if (this.#clients.get(client.id) === client) this.#clients.delete(client.id);
    });
    this.#broker = broker;
    // The handshake requests a client certificate without requiring it: a device may log in with a token
    // instead.
    const server = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: false }, (socket) =>
      this.#accept(socket, broker),
    );
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        if (address && typeof address === 'object') this.#port = address.port;
        resolve();
      });
    });
  }

  async stop(): Promise<void> {
    const [broker, server] = [this.#broker, this.#server];
    this.#broker = null;
    this.#server = null;
    this.#upgrades = null;
    this.#cutAll();
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
    if (broker) await new Promise<void>((resolve) => broker.close(() => resolve()));
  }

  /** A fault above TCP, or null. */
  setFault(fault: Fault | null): void {
    this.#fault = fault;
    if (fault !== null && CUTTING.has(fault.name)) this.#cutAll();
  }

  /** Whether a connected device is subscribed to patches of its desired properties. */
  listensToDesired(device: string): boolean {
    const client = this.#clients.get(device);
    return client !== undefined && this.#filters.get(client)?.has(TWIN_DESIRED) === true;
  }

  /** Notifies a connected device of a patch of its desired properties. */
  pushDesired(device: string, patch: JsonObject, version: number): void {
    const client = this.#clients.get(device);
    if (!client || !this.listensToDesired(device)) return;
    const body = JSON.stringify({ ...patch, $version: version });
    this.twinUnits += unitsOf(Buffer.byteLength(body));
    this.#answer(client, `$iothub/twin/PATCH/properties/desired/?$version=${version}`, body);
  }

  #cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: TLSSocket, broker: Aedes): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', (error) => this.#options.log.debug({ event: 'loopback.azure.socket', err: error }));
    if (this.#fault?.name === 'html503') socket.once('data', () => socket.end(HTTP_503));
    else this.#serve(socket, broker);
  }

  /** The vendor has a port for each; here the first byte tells a WebSocket's GET from a CONNECT. */
  #serve(socket: TLSSocket, broker: Aedes): void {
    socket.once('data', (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      if (first[0] === FIRST_OF_GET) {
        this.#webSockets(broker).emit('connection', socket);
        process.nextTick(() => socket.resume());
      } else broker.handle(socket);
    });
  }

  /** "Communicate with an IoT hub using MQTT": MQTT over WebSocket at /$iothub/websocket. */
  #webSockets(broker: Aedes): HttpServer {
    if (this.#upgrades) return this.#upgrades;
    const server = createHttpServer((_request, response) => response.writeHead(404).end());
    const sockets = new WebSocketServer({
      server,
      path: '/$iothub/websocket',
      handleProtocols: (offered) => offered.has('mqtt') && 'mqtt',
    });
    sockets.on('connection', (socket) => broker.handle(createWebSocketStream(socket)));
    this.#upgrades = server;
    return server;
  }

  #authenticate(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
    done: (error: AuthenticateError | null, success: boolean | null) => void,
  ): void {
    const { ingest, clock, log } = this.#options;
    ingest.meter.requests += 1;
    const answer = this.#admit({ clientId: client.id, username, password, socket: client.conn });
    if ('returnCode' in answer) {
      log.debug({ event: 'loopback.azure.refused', device: client.id, ...answer });
      done(Object.assign(new Error(answer.reason), answer), null);
      return;
    }
    if (answer.expiresMs !== null) {
      const expiry = clock.setTimer(answer.expiresMs - clock.wallMs(), () => client.conn.destroy());
      client.conn.once('close', () => expiry.cancel());
    }
    done(null, true);
  }

  #admit(connect: Connect): { expiresMs: number | null } | { returnCode: number; reason: string } {
    const isRefused = this.#fault?.name === 'brownout' && this.#options.overload.next() === 'unavailable';
    if (this.#fault?.name === 'error' || isRefused)
      return { returnCode: SERVER_UNAVAILABLE, reason: 'fault' };
    if (this.#fault?.name === 'unauthorized') return { returnCode: NOT_AUTHORIZED, reason: 'fault' };
    const admission = this.#options.devices.admit(connect, this.#options.clock.wallMs());
    return admission.admitted ? admission : { returnCode: NOT_AUTHORIZED, reason: admission.reason };
  }

  #subscribe(client: Client, subscription: Subscription): Subscription | null {
    const allowed = [
      TWIN_RESPONSES,
      TWIN_DESIRED,
      '$iothub/methods/POST/#',
      `devices/${client.id}/messages/devicebound/#`,
    ];
    if (!allowed.includes(subscription.topic)) return null;
    if (this.#isBasic && subscription.topic.startsWith('$iothub/')) {
      client.conn.destroy();
      return null;
    }
    const filters = this.#filters.get(client) ?? new Set();
    this.#filters.set(client, filters.add(subscription.topic));
    return subscription;
  }

  /**
   * Called for every PUBLISH, before its PUBACK. An error in `verdict` ends the connection without a PUBACK.
   */
  #receive(client: Client | null, packet: PublishPacket, verdict: Verdict): void {
    this.#options.ingest.meter.requests += 1;
    const events = `devices/${client?.id}/messages/events/`;
    if (client && packet.topic.startsWith(events)) {
      const properties = parsePropertyBag(packet.topic.slice(events.length));
      this.#receiveEvent(
        client,
        { device: client.id, body: Buffer.from(packet.payload), properties },
        verdict,
      );
    } else if (client && packet.topic.startsWith('$iothub/twin/')) {
      verdict(null);
      this.#receiveTwin(client, packet);
    } else {
      // Another device's topic, or an unknown one: the hub closes the connection.
      verdict(new Error('topic not allowed'));
    }
  }

  #receiveEvent(client: Client, event: NewEvent, verdict: Verdict): void {
    const { ingest, overload, refusal } = this.#options;
    // MQTT 3.1.1 has no refusal of a PUBLISH (3.3.5): the hub closes the connection.
    const refused = messageBytes(event) > MESSAGE_MAX_BYTES ? 'too-large' : refusal.verdict(event.body);
    if (refused !== null) {
      verdict(new Error(`the message is ${refused}`));
      return;
    }
    const treatment = overload.next();
    if (treatment === 'throttled') {
      this.#throttle(client, event, verdict);
    } else if (treatment === 'unavailable') {
      verdict(new Error('unavailable'));
    } else {
      ingest.take(event, this.#fault);
      const lost = this.#fault?.name === 'ack-lost' ? new Error('acknowledgement lost on purpose') : null;
      if (treatment === 'late') void overload.wait().then(() => verdict(lost));
      else verdict(lost);
    }
  }

  /** A hub above its limit sends no error: it acknowledges late, then drops the connection. */
  #throttle(client: Client, event: NewEvent, verdict: Verdict): void {
    const { ingest, clock, entropy } = this.#options;
    clock.setTimer(THROTTLE_MIN_MS + entropy.float() * THROTTLE_SPREAD_MS, () => {
      if (client.closed) return;
      ingest.take(event, null);
      verdict(null);
      clock.setTimer(THROTTLE_CUT_MS, () => client.conn.destroy());
    });
  }

  #receiveTwin(client: Client, packet: PublishPacket): void {
    if (!this.#filters.get(client)?.has(TWIN_RESPONSES)) return;
    const [path = '', query = ''] = packet.topic.split('?');
    const { status, body, version } = this.#twinRequest(client.id, path, packet.payload.toString());
    if (status < 300) this.twinUnits += unitsOf(Math.max(Buffer.byteLength(body), packet.payload.length));
    const { $rid: requestId = '' } = parsePropertyBag(query);
    const tail = version === undefined ? '' : `&$version=${version}`;
    this.#answer(client, `$iothub/twin/res/${status}/?$rid=${requestId}${tail}`, body);
  }

  #twinRequest(device: string, path: string, payload: string): TwinAnswer {
    const { twins } = this.#options;
    if (this.#fault?.name === 'throttle') return { status: 429, body: '' };
    if (path === '$iothub/twin/GET/') return { status: 200, body: JSON.stringify(twins.read(device)) };
    if (path !== '$iothub/twin/PATCH/properties/reported/') return { status: 404, body: '' };
    const patch = parseJson(payload);
    if (!isObject(patch) || twins.problem(device, 'reported', patch)) return { status: 400, body: '' };
    return { status: 204, body: '', version: twins.patch(device, 'reported', patch) };
  }

  #answer(client: Client, topic: string, payload: string): void {
    client.publish({ cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false }, (error) => {
      if (error) this.#options.log.debug({ event: 'loopback.azure.answer', err: error });
    });
  }
}
