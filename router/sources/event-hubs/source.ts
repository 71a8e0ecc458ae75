/**
 * Reads IoT Hub's Event Hubs compatible endpoint (or any event hub). Event Hubs keeps no place for its
 * readers: ours is in the ledger's database, so that a place is never kept for events that are not committed
 * (I5). Routers that share the ledger share the partitions.
 */
import { readFile } from 'node:fs/promises';
import type { ReceivedEventData } from '@azure/event-hubs';
import { sendReasonOf } from '../../../shared/envelope/send-reason.ts';
import { errorText } from '../../../shared/log.ts';
import type { CheckpointStore } from '../../ledger/checkpoints.ts';
import { providerProperties } from '../properties.ts';
import {
  type Delivery,
  type DeliveryHandler,
  initialSourceState,
  type Source,
  type SourceDeps,
  type SourceState,
} from '../source.ts';
import { type EventHubsOptions, hubOf } from './options.ts';
import { Ownership } from './ownership.ts';
import { PartitionReader } from './partition.ts';
import type { Position } from './position.ts';
import { runSession } from './session.ts';

const RECONNECT_FIRST_MS = 250;
const RECONNECT_MAX_MS = 10_000;
const WATCHDOG_MS = 15_000;
const STOP_TIMEOUT_MS = 5000;
/** For a last word in the ledger's database; without it the others wait for the lease to end. */
const LEAVE_TIMEOUT_MS = 2000;
const LEASE_MS = 15_000;
const ROUTER_BYTES = 8;

export interface EventHubsDeps extends SourceDeps {
  checkpoints: CheckpointStore;
  /** How long a router that was killed keeps its partitions from the others. */
  leaseMs?: number;
  watchdogMs?: number;
}

export class EventHubsSource implements Source {
  readonly name: string;
  readonly type = 'azure';
  readonly #options: EventHubsOptions;
  readonly #deps: EventHubsDeps;
  readonly #stopping = new AbortController();
  readonly #readers = new Map<string, PartitionReader>();
  readonly #state = initialSourceState();
  #running: Promise<void> | null = null;
  #ownership: Ownership | null = null;
  /** Tells the session that the readers changed. */
  #sync: () => void = () => undefined;

  constructor(name: string, options: EventHubsOptions, deps: EventHubsDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
  }

  start(handler: DeliveryHandler): Promise<void> {
    this.#ownership ??= this.#share(handler);
    this.#running ??= this.#run(this.#ownership);
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    const readers = [...this.#readers.values()];
    await Promise.all([this.#running, ...readers.map((reader) => reader.stop(STOP_TIMEOUT_MS))]);
    const done = new AbortController();
    await Promise.race([this.#ownership?.leave(), this.#deps.clock.sleep(LEAVE_TIMEOUT_MS, done.signal)]);
    done.abort();
  }

  state(): SourceState {
    return { ...this.#state };
  }

  /** One session after the other, spaced by a backoff that a good connection resets. */
  async #run(ownership: Ownership): Promise<void> {
    const { clock, entropy, log } = this.#deps;
    const { signal } = this.#stopping;
    let delayMs = RECONNECT_FIRST_MS;
    while (!signal.aborted) {
      const onConnected = (): void => {
        delayMs = RECONNECT_FIRST_MS;
        this.#state.connected = true;
        this.#state.lastError = null;
        ownership.hold();
        log.info({ event: 'event_hubs.connected', source: this.name });
      };
      const reason = await this.#session(ownership, onConnected);
      ownership.rest();
      this.#state.connected = false;
      this.#state.backlog = null;
      if (signal.aborted) return;
      this.#state.lastError = reason;
      log.warn({ event: 'event_hubs.session_ended', source: this.name, reason, delayMs });
      await clock.sleep(delayMs * (0.5 + entropy.float() / 2), signal);
      delayMs = Math.min(2 * delayMs, RECONNECT_MAX_MS);
    }
  }

  async #session(ownership: Ownership, onConnected: () => void): Promise<string> {
    const { ca_file, consumer_group, credentials } = this.#options;
    try {
      return await runSession({
        sdk: await import('@azure/event-hubs'),
        connectionString: credentials.connection_string,
        eventHub: hubOf(this.#options) ?? '',
        consumerGroup: consumer_group,
        // Read every time, so that a renewed file is taken up.
        ca: ca_file === undefined ? null : await readFile(ca_file, 'utf8'),
        watchdogMs: this.#deps.watchdogMs ?? WATCHDOG_MS,
        clock: this.#deps.clock,
        join: (partitions) => ownership.join(partitions),
        readers: this.#readers,
        follow: (sync) => {
          this.#sync = sync;
        },
        toDelivery: (event) => toDelivery(this.name, event),
        onConnected,
        onBacklog: (events) => {
          this.#state.backlog = events;
        },
        signal: this.#stopping.signal,
      });
    } catch (error) {
      // The SDK quotes the connection string in what it says about it.
      return errorText(error).replaceAll(credentials.connection_string, '[redacted]');
    }
  }

  #share(handler: DeliveryHandler): Ownership {
    const { clock, entropy, log, checkpoints, leaseMs = LEASE_MS } = this.#deps;
    const ownership = new Ownership({
      source: this.name,
      key: this.#key(),
      router: Buffer.from(entropy.bytes(ROUTER_BYTES)).toString('hex'),
      store: checkpoints,
      leaseMs: checkpoints.isMultiRouter ? leaseMs : 0,
      onGained: (partition, from) => {
        log.info({ event: 'event_hubs.gained', source: this.name, partition });
        this.#readers.set(partition, this.#reader(ownership, partition, from, handler));
        this.#sync();
      },
      onLost: (partition) => {
        log.info({ event: 'event_hubs.lost', source: this.name, partition });
        this.#readers.get(partition)?.drop();
        this.#readers.delete(partition);
        this.#sync();
      },
      clock,
      log,
    });
    return ownership;
  }

  #reader(
    ownership: Ownership,
    partition: string,
    from: Position | null,
    handler: DeliveryHandler,
  ): PartitionReader {
    const { clock, entropy, log } = this.#deps;
    return new PartitionReader({
      key: `${this.#key()}/${partition}`,
      from,
      handler,
      onReceived: () => {
        this.#state.received += 1;
        this.#state.lastReceivedMs = clock.wallMs();
      },
      onSettled: () => {
        this.#state.settled += 1;
      },
      onAdvanced: (position) => ownership.settled(partition, position),
      clock,
      entropy,
      log,
    });
  }

  /** Of the shares in the checkpoint store. */
  #key(): string {
    return `${hubOf(this.#options)}/${this.#options.consumer_group}`;
  }
}

function toDelivery(source: string, event: ReceivedEventData): Delivery {
  const body: unknown = event.body;
  const device: unknown = event.systemProperties?.['iothub-connection-device-id'];
  return {
    source,
    // Other producers may send text or a structure; the decoder refuses what is not an envelope, and keeps
    // it.
    bytes: Buffer.isBuffer(body)
      ? body
      : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body ?? null)),
    authenticatedGateway: typeof device === 'string' ? device : null,
    deliveryCount: null,
    enqueuedWallMs: event.enqueuedTimeUtc.getTime(),
    sentAs: sendReasonOf(event.properties?.['why']),
    properties: () => {
      const { sequenceNumber, offset, enqueuedTimeUtc: enqueued, systemProperties, properties } = event;
      return providerProperties({ sequenceNumber, offset, enqueued, ...systemProperties, ...properties });
    },
  };
}
