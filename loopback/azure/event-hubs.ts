/**
 * The hub's Event Hubs compatible endpoint: AMQP 1.0 over TLS (Azure docs, "AMQP 1.0 in Azure Service Bus and
 * Event Hubs protocol guide"). A client puts a token on `$cbs` for every address it will use, asks
 * `$management` about the hub and its partitions, and attaches one receiver per partition with a selector
 * that says where to begin.
 */
import type { Server, TLSSocket } from 'node:tls';
import rhea, { type EventContext, type Message, type Receiver, type Sender } from 'rhea';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import type { KeyAndCertificate } from '../ca.ts';
import type { EventLog, Partition } from './event-log.ts';
import { servePartition } from './partition-link.ts';
import { verifySas } from './sas.ts';

export interface EventHubsOptions {
  /** Name of the event hub (the entity path). */
  hub: string;
  policy: { name: string; key: string };
  events: EventLog;
  server: KeyAndCertificate;
  /** 0 takes a free one at `start`. */
  port: number;
  /** Called for every event that leaves for a consumer. */
  onDelivered: () => void;
  clock: Clock;
  log: Logger;
}

/** One AMQP connection: the audiences it has put valid tokens for, and its links that carry replies. */
interface Peer {
  audiences: Set<string>;
  replies: Map<string, Sender>;
}

/** The properties of a request on `$cbs` or `$management`, as far as they are text. */
type Request = (name: string) => string;

export class EventHubsServer implements Service {
  readonly #options: EventHubsOptions;
  readonly #sockets = new Set<TLSSocket>();
  readonly #peers = new WeakMap<object, Peer>();
  #server: Server | null = null;
  #port: number;
  #stalled: boolean = false;
  #refused: boolean = false;

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
    const container = rhea.create_container();
    container.sasl_server_mechanisms.enable_anonymous();
    container.on('sender_open', (context: EventContext) => this.#attachSender(context));
    container.on('receiver_open', (context: EventContext) => this.#attachReceiver(context));
    container.on('message', (context: EventContext) => this.#request(context));
    for (const end of ['error', 'connection_error', 'protocol_error', 'disconnected']) {
      container.on(end, () => this.#options.log.debug({ event: 'loopback.azure.amqp', end }));
    }
    const server = container.listen({
      transport: 'tls',
      host: '127.0.0.1',
      port: this.#port,
      cert,
      key,
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.once('listening', () => {
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
    // With an error, because rhea does not listen for the end of a socket that was only destroyed.
    for (const socket of this.#sockets) socket.destroy(new Error('cut'));
  }

  /** While stalled, receivers stay attached and receive nothing: a "silent partition". */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
  }

  /** While refused, a receiver of a partition is attached and ended at once. */
  refuse(refused: boolean): void {
    this.#refused = refused;
  }

  #peer(context: EventContext): Peer {
    const known = this.#peers.get(context.connection);
    if (known) return known;
    const made: Peer = { audiences: new Set(), replies: new Map() };
    this.#peers.set(context.connection, made);
    return made;
  }

  /** The client wants to receive: replies on `$cbs` and `$management`, or the events of a partition. */
  #attachSender(context: EventContext): void {
    const { sender } = context;
    if (!sender) return;
    const address = text(sender.source.address);
    sender.set_source({ address });
    const peer = this.#peer(context);
    if (address === '$cbs' || address === '$management') {
      peer.replies.set(sender.name, sender);
      return;
    }
    const partition = this.#partitionAt(address);
    if (!partition) {
      sender.close({ condition: 'amqp:not-found', description: `no entity ${address}` });
    } else if (!this.#authorised(peer, address)) {
      sender.close({ condition: 'amqp:unauthorized-access', description: `no claim for ${address}` });
    } else if (this.#refused) {
      const description = 'New receiver with higher epoch was created hence current receiver is disconnected';
      sender.close({ condition: 'amqp:link:stolen', description });
    } else {
      const { events, onDelivered } = this.#options;
      servePartition({ sender, partition, events, onDelivered, isStalled: () => this.#stalled });
    }
  }

  #attachReceiver(context: EventContext): void {
    const { receiver } = context;
    if (!receiver) return;
    const address = addressOf(receiver);
    receiver.set_target({ address });
    if (address === '$cbs') return;
    if (address === '$management' && this.#authorised(this.#peer(context), address)) return;
    receiver.close({ condition: 'amqp:unauthorized-access', description: `no claim for ${address}` });
  }

  /** A claim's audience is the whole URI of the entity, `sb://host/hub/…`. */
  #authorised(peer: Peer, address: string): boolean {
    return [...peer.audiences].some((audience) => audience.endsWith(`/${address}`));
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
    const answer =
      addressOf(receiver) === '$cbs' ? this.#putToken(peer, message, request) : this.#read(request);
    peer.replies.get(text(message.reply_to))?.send({
      ...(message.message_id === undefined ? {} : { correlation_id: message.message_id }),
      application_properties: {
        'status-code': answer.status,
        'status-description': answer.description,
        statusCode: answer.status,
      },
      body: answer.body,
    });
  }

  #putToken(peer: Peer, message: Message, request: Request): Answer {
    const { policy, clock } = this.#options;
    const audience = request('name');
    const token = verifySas(text(message['body']), policy.key, clock.wallMs());
    if (token?.keyName !== policy.name || !audience.startsWith(token.resource)) {
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
    const { hub, events } = this.#options;
    const ok = (body: Record<string, unknown>): Answer => ({ status: 200, description: 'OK', body });
    if (request('operation') !== 'READ' || request('name') !== hub) {
      return { status: 404, description: 'The messaging entity could not be found', body: null };
    }
    if (request('type') === 'com.microsoft:eventhub') {
      return ok({
        name: hub,
        type: 'com.microsoft:eventhub',
        created_at: rhea.types.wrap_timestamp(events.createdMs),
        partition_count: events.partitions.length,
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

interface Answer {
  status: number;
  description: string;
  body: Record<string, unknown> | null;
}

function addressOf(receiver: Receiver): string {
  return text(receiver.target.address);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
