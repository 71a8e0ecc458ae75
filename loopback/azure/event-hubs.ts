/**
 * The hub's Event Hubs compatible endpoint: AMQP 1.0 over TLS (Azure docs, "AMQP 1.0 in Azure Service Bus and
 * Event Hubs protocol guide"). A client puts a token on `$cbs` for every address that it uses, asks
 * `$management` about the hub and its partitions, and attaches one receiver per partition with a selector for
 * the start position.
 */
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createTlsServer, type Server, type TLSSocket } from 'node:tls';
import rhea, {
  type Connection,
  type Container,
  type EventContext,
  type Message,
  type Receiver,
  type Sender,
} from 'rhea';
import { WebSocketServer } from 'ws';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import type { KeyAndCertificate } from '../ca.ts';
import type { Overload } from '../overload.ts';
import type { EventLog, Partition } from './event-log.ts';
import { servePartition } from './partition-link.ts';
import { verifySas } from './sas.ts';
import { sendWholeFrames } from './whole-frames.ts';

export interface EventHubsOptions {
  /** Name of the event hub (the entity path). */
  hub: string;
  policy: { name: string; key: string };
  events: EventLog;
  overload: Overload;
  server: KeyAndCertificate;
  /** 0 takes a free port at `start`. */
  port: number;
  /** Called for every event sent to a consumer. */
  onDelivered: () => void;
  clock: Clock;
  log: Logger;
}

/** One AMQP connection: the audiences with valid tokens, and its links for replies. */
interface Peer {
  audiences: Set<string>;
  replies: Set<Sender>;
}

/** Limits in the service's Open and Begin (the protocol guide's "Connections and sessions"). */
const OPEN = { max_frame_size: 65_536, channel_max: 4999, idle_time_out: 120_000, properties: {} };
const SERVER: object = { hostname: 'localhost', ...OPEN };
const HANDLE_MAX = 255;
/** "G": a WebSocket begins with a GET, AMQP with its own name. */
const FIRST_OF_GET = 0x47;
const WEBSOCKET = { path: '/$servicebus/websocket', subprotocol: 'AMQPWSB10' };

/** "Error code 50002" of "Azure Event Hubs: Frequently asked questions" and ServerBusyException. */
const BUSY = {
  condition: 'com.microsoft:server-busy',
  description:
    'The request was terminated because the namespace is being throttled. Error code : 50002. Please wait 4 seconds and try again.',
};

/** Fields that rhea's types omit. */
interface SettleModes {
  snd_settle_mode: unknown;
  rcv_settle_mode: unknown;
}
interface Attaching {
  local: { attach: SettleModes };
  remote: { attach: SettleModes };
}

/** The text properties of a request on `$cbs` or `$management`. */
type Request = (name: string) => string;

export class EventHubsServer implements Service {
  readonly #options: EventHubsOptions;
  readonly #sockets = new Set<TLSSocket>();
  readonly #peers = new WeakMap<object, Peer>();
  /** Links that carry events. */
  readonly #receivers = new Set<Sender>();
  #server: Server | null = null;
  #port: number;
  #stalled: boolean = false;
  #refused: boolean = false;
  #isBusy: boolean = false;

  constructor(options: EventHubsOptions) {
    this.#options = options;
    this.#port = options.port;
  }

  /** On 127.0.0.1. */
  get port(): number {
    return this.#port;
  }

  start(): Promise<void> {
    const { cert, key } = this.#options.server;
    const container = rhea.create_container({ id: 'headgate-loopback' });
    container.on('session_open', ({ session }: EventContext) => {
      if (session) sendWholeFrames(session, HANDLE_MAX);
    });
    container.sasl_server_mechanisms.enable_anonymous();
    container.on('sender_open', (context: EventContext) => this.#attachSender(context));
    container.on('receiver_open', (context: EventContext) => this.#attachReceiver(context));
    container.on('message', (context: EventContext) => this.#request(context));
    for (const end of ['error', 'connection_error', 'protocol_error', 'disconnected']) {
      container.on(end, () => this.#options.log.debug({ event: 'loopback.azure.amqp', end }));
    }
    const upgrades = webSockets(container);
    const server = createTlsServer({ cert, key }, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      // A cut socket ends with an error; rhea hears of it by a listener of its own.
      socket.on('error', () => undefined);
      // AMQP has no 503: an overloaded front door ends connections.
      if (this.#options.overload.turnsAway()) socket.destroy(new Error('overloaded'));
      else serve(socket, container, upgrades);
    });
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', () => {
        const address = server.address();
        if (address && typeof address === 'object') this.#port = address.port;
        resolve();
      });
    });
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.cut();
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** Cuts every connection; consumers may come back at once. */
  cut(): void {
    // With an error, because rhea does not notice the close of a socket destroyed without one.
    for (const socket of this.#sockets) socket.destroy(new Error('cut'));
  }

  /** Ends every receiver, as a namespace does that is asked for too much. */
  endReceivers(): void {
    for (const sender of this.#receivers) sender.close(BUSY);
  }

  /** While stalled, receivers stay attached and receive nothing: a "silent partition". */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
  }

  /** While busy, it turns away all questions; receivers go on. */
  turnQuestionsAway(isBusy: boolean): void {
    this.#isBusy = isBusy;
  }

  /** While refused, a receiver of a partition is attached and ended at once. */
  refuse(refused: boolean): void {
    this.#refused = refused;
  }

  #peer(context: EventContext): Peer {
    const known = this.#peers.get(context.connection);
    if (known) return known;
    const made: Peer = { audiences: new Set(), replies: new Set() };
    this.#peers.set(context.connection, made);
    return made;
  }

  /** A client's receiver: for replies on `$cbs` and `$management`, or for the events of a partition. */
  #attachSender(context: EventContext): void {
    const { sender } = context;
    if (!sender) return;
    const address = text(sender.source.address);
    echoSettleModes(sender);
    sender.set_source({ ...sender.source, address });
    sender.set_target(sender.target);
    const peer = this.#peer(context);
    if (address === '$cbs' || address === '$management') {
      peer.replies.add(sender);
      sender.on('sender_close', () => peer.replies.delete(sender));
      return;
    }
    // Some clients send the path of the entity, others its URI.
    const entity = entityOf(address);
    const partition = this.#partitionAt(entity);
    if (!partition) {
      sender.close({ condition: 'amqp:not-found', description: `no entity ${address}` });
    } else if (!this.#authorised(peer, entity)) {
      sender.close({ condition: 'amqp:unauthorized-access', description: `no claim for ${address}` });
    } else if (this.#options.overload.isThrottled()) {
      sender.close(BUSY);
    } else if (this.#refused) {
      const description = 'New receiver with higher epoch was created hence current receiver is disconnected';
      sender.close({ condition: 'amqp:link:stolen', description });
    } else {
      const { events, onDelivered } = this.#options;
      this.#receivers.add(sender);
      const forget = (): void => void this.#receivers.delete(sender);
      sender.on('sender_close', forget);
      sender.connection.on('disconnected', forget);
      servePartition({ sender, partition, events, onDelivered, isStalled: () => this.#stalled });
    }
  }

  #attachReceiver(context: EventContext): void {
    const { receiver } = context;
    if (!receiver) return;
    const address = addressOf(receiver);
    echoSettleModes(receiver);
    receiver.set_source(receiver.source);
    receiver.set_target({ address });
    if (address === '$cbs') return;
    if (address === '$management' && this.#authorised(this.#peer(context), address)) return;
    receiver.close({ condition: 'amqp:unauthorized-access', description: `no claim for ${address}` });
  }

  /** An audience is the URI of an entity, `sb://host/hub/…`; it covers the entities below it too. */
  #authorised(peer: Peer, address: string): boolean {
    const path = address === '$management' ? `${this.#options.hub}/$management` : address;
    // Names of entities are case-insensitive: azure-eventhub for Python claims `…/consumergroups/…`.
    const entity = path.toLowerCase();
    return [...peer.audiences].some((audience) => {
      const claimed = entityOf(audience).toLowerCase();
      return claimed === '' || entity === claimed || entity.startsWith(`${claimed}/`) || claimed === address;
    });
  }

  #partitionAt(address: string): Partition | undefined {
    const [hub, , , , id] = address.split('/');
    if (hub !== this.#options.hub || !/^[^/]+\/ConsumerGroups\/[^/]+\/Partitions\/\d+$/.test(address))
      return undefined;
    return this.#options.events.partitions.find((partition) => partition.id === id);
  }

  #request(context: EventContext): void {
    const { receiver, message } = context;
    if (!receiver || !message) return;
    const peer = this.#peer(context);
    const request: Request = (name) => text(message['application_properties']?.[name]);
    const node = addressOf(receiver);
    const answer = node === '$cbs' ? this.#putToken(peer, message, request) : this.#read(request);
    replyLink(peer, node, text(message.reply_to))?.send({
      ...(message.message_id === undefined ? {} : { correlation_id: message.message_id }),
      application_properties: {
        // An AMQP int (AMQP claims-based security 1.0, 3.2.3 "Response").
        'status-code': rhea.types.wrap_int(answer.status),
        'status-description': answer.description,
        ...(answer.condition !== undefined && { 'error-condition': answer.condition }),
      },
      body: answer.body,
    });
  }

  #putToken(peer: Peer, message: Message, request: Request): Answer {
    const { policy, clock } = this.#options;
    const audience = request('name');
    const token = verifySas(text(message['body']), policy.key, clock.wallMs());
    // Names are case-insensitive: azeventhubs for Go signs the resource in lower case.
    const isCovered = token !== null && audience.toLowerCase().startsWith(token.resource.toLowerCase());
    if (token?.keyName !== policy.name || !isCovered) {
      return {
        status: 401,
        description: 'Unauthorized access: InvalidSignature or expired token',
        body: null,
      };
    }
    peer.audiences.add(audience);
    return { status: 202, description: 'Accepted', body: null };
  }

  #read(request: Request): Answer {
    const { hub, events, overload } = this.#options;
    if (this.#isBusy || overload.isThrottled())
      return { status: 503, description: BUSY.description, condition: BUSY.condition, body: null };
    const ok = (body: Record<string, unknown>): Answer => ({ status: 200, description: 'OK', body });
    if (request('operation') !== 'READ' || request('name') !== hub) {
      return { status: 404, description: 'The messaging entity could not be found', body: null };
    }
    if (request('type') === 'com.microsoft:eventhub') {
      return ok({
        name: hub,
        type: 'com.microsoft:eventhub',
        created_at: rhea.types.wrap_timestamp(events.createdMs),
        partition_count: rhea.types.wrap_int(events.partitions.length),
        georeplication_factor: rhea.types.wrap_int(1),
        partition_ids: rhea.types.wrap_array(
          events.partitions.map((partition) => partition.id),
          0xa1,
          null,
        ),
      });
    }
    const partition = events.partitions.find(({ id }) => id === request('partition'));
    if (!partition) return { status: 404, description: 'no such partition', body: null };
    const { last } = partition;
    return ok({
      name: hub,
      type: 'com.microsoft:partition',
      partition: partition.id,
      begin_sequence_number: rhea.types.wrap_long(partition.begin),
      last_enqueued_sequence_number: rhea.types.wrap_long(last?.sequenceNumber ?? -1),
      last_enqueued_offset: last?.offset ?? '-1',
      last_enqueued_time_utc: rhea.types.wrap_timestamp(last?.enqueuedMs ?? 0),
      is_partition_empty: last === undefined,
    });
  }
}

/** The part of a connection that rhea's types omit. */
interface Accepting {
  accept(socket: TLSSocket): void;
}

/** The vendor has a port for each; here the first byte tells a WebSocket's GET from AMQP. */
function serve(socket: TLSSocket, container: Container, upgrades: HttpServer): void {
  socket.once('data', (first: Buffer) => {
    socket.pause();
    socket.unshift(first);
    if (first[0] === FIRST_OF_GET) upgrades.emit('connection', socket);
    else (container.create_connection({ ...SERVER, port: 0 }) as Connection & Accepting).accept(socket);
    process.nextTick(() => socket.resume());
  });
}

/** "Connections and sessions" of the protocol guide: AMQP over WebSocket at /$servicebus/websocket. */
function webSockets(container: Container): HttpServer {
  const server = createHttpServer((_request, response) => response.writeHead(404).end());
  const { path, subprotocol } = WEBSOCKET;
  const sockets = new WebSocketServer({
    server,
    path,
    handleProtocols: (offered) => offered.has(subprotocol) && subprotocol,
  });
  // rhea takes a WebSocket, whatever its types say.
  sockets.on('connection', (socket: unknown) =>
    container.websocket_accept(socket as TLSSocket, { ...SERVER }),
  );
  return server;
}

interface Answer {
  status: number;
  description: string;
  /** Error condition of AMQP. */
  condition?: string;
  body: Record<string, unknown> | null;
}

function addressOf(receiver: Receiver): string {
  return text(receiver.target.address);
}

/**
 * The link for a reply: `reply-to` is the target address or the name of a client's link; without it, the
 * client's link from the same node carries the reply.
 */
function replyLink({ replies }: Peer, node: string, replyTo: string): Sender | undefined {
  return [...replies].find((link) =>
    replyTo === '' ? link.source.address === node : link.target.address === replyTo || link.name === replyTo,
  );
}

/**
 * The path of an audience, whatever its scheme: clients use both `amqp://host:port/hub/…` and
 * `sb://host/hub/…`.
 */
function entityOf(audience: string): string {
  return audience.replace(/^[a-z]+:\/\/[^/]*\/?/i, '').replace(/\/$/, '');
}

/** Attaches a link with the settle modes of the client (AMQP 1.0, 2.7.3 "Attach"). */
function echoSettleModes(link: Sender | Receiver): void {
  const { local, remote } = link as (Sender | Receiver) & Attaching;
  local.attach.snd_settle_mode = remote.attach.snd_settle_mode;
  local.attach.rcv_settle_mode = remote.attach.rcv_settle_mode;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
