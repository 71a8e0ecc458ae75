/**
 * Reads IoT Hub's Event Hubs compatible endpoint (or any event hub). Event Hubs keeps no position for its
 * readers. Our positions are in the ledger's database, so that no position passes an event that is not
 * committed (I5). Routers that share the ledger share the partitions.
 */
import { readFile } from 'node:fs/promises';
import type { ReceivedEventData } from '@azure/event-hubs';
import { Backoff } from '../../../shared/backoff.ts';
import { sendReasonOf } from '../../../shared/envelope/send-reason.ts';
import { errorText } from '../../../shared/log.ts';
import { within } from '../../../shared/within.ts';
import type { CheckpointStore } from '../../ledger/checkpoints.ts';
import { providerProperties } from '../properties.ts';
import {
  type Delivery,
  type DeliveryHandler,
  OPEN_GATE,
  type Source,
  type SourceDeps,
  type SourceState,
} from '../source.ts';
import { Standing } from '../standing.ts';
import { type EventHubsOptions, hubOf } from './options.ts';
import { Ownership } from './ownership.ts';
import { PartitionReader } from './partition.ts';
import type { Position } from './position.ts';
import { runSession, type SessionEnd } from './session.ts';

/** Pause between two sessions. */
const BACKOFF = { firstMs: 250, lastMs: 10_000 };
/** The same where the service asks to slow down; it asks for at least 4 s ("ServerBusyException"). */
const THROTTLED_BACKOFF = { firstMs: 8000, lastMs: 10_000 };
/** A session that lasts this long, or receives an event, resets the backoff. */
const LASTING_MS = 10_000;
const WATCHDOG_MS = 5000;
const STOP_MS = 5000;
/**
 * Limit for the last write to the ledger's database; without that write the others wait for the lease to
 * expire.
 */
const LEAVE_MS = 2000;
const LEASE_MS = 15_000;
const ROUTER_BYTES = 8;

export interface EventHubsDeps extends SourceDeps {
  checkpoints: CheckpointStore;
  /** How long the partitions of a killed router stay reserved. */
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
  readonly #standing = new Standing();
  readonly #backoff: Backoff;
  readonly #throttledBackoff: Backoff;
  #running: Promise<void> | null = null;
  #ownership: Ownership | null = null;
  /** Notifies the session of changed readers. */
  #sync: () => void = () => undefined;

  constructor(name: string, options: EventHubsOptions, deps: EventHubsDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
    this.#backoff = new Backoff(BACKOFF, deps.entropy);
    this.#throttledBackoff = new Backoff(THROTTLED_BACKOFF, deps.entropy);
  }

  start(handler: DeliveryHandler): Promise<void> {
    this.#ownership ??= this.#share(handler);
    this.#running ??= this.#run(this.#ownership);
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    const readers = [...this.#readers.values()];
    await Promise.all([this.#running, ...readers.map((reader) => reader.stop(STOP_MS))]);
    const left = this.#ownership?.leave() ?? Promise.resolve();
    await within(this.#deps.clock, LEAVE_MS, left, () => undefined);
    this.#standing.stopped();
  }

  state(): SourceState {
    return this.#standing.state();
  }

  /** Runs one session after the other. */
  async #run(ownership: Ownership): Promise<void> {
    const { clock, log, gate = OPEN_GATE } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // A session begins by reading the shares from the ledger's database.
      await gate.opened(signal);
      if (signal.aborted) return;
      let connectedMs: number | null = null;
      const onConnected = (): void => {
        connectedMs = clock.monoMs();
        this.#standing.proven();
        ownership.hold();
        log.info({ event: 'event_hubs.connected', source: this.name });
      };
      const { reason, isSilence, isThrottled } = await this.#session(ownership, onConnected);
      ownership.rest();
      if (signal.aborted) return;
      if (connectedMs !== null && clock.monoMs() - connectedMs > LASTING_MS) this.#resetBackoff();
      const delayMs = (isThrottled ? this.#throttledBackoff : this.#backoff).failed();
      if (isThrottled) this.#standing.throttled();
      if (isSilence) this.#standing.cut(reason);
      else this.#standing.lost(reason);
      log.warn({ event: 'event_hubs.session_ended', source: this.name, reason, delayMs });
      await clock.sleep(delayMs, signal);
    }
  }

  async #session(ownership: Ownership, onConnected: () => void): Promise<SessionEnd> {
    const { ca_file, credentials } = this.#options;
    try {
      return await runSession({
        sdk: await import('@azure/event-hubs'),
        options: this.#options,
        // Read for each session, so that a renewed file takes effect.
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
          this.#standing.proven();
          this.#standing.waiting(events);
        },
        onThrottled: (error) => {
          this.#standing.throttled();
          this.#standing.noted(error);
        },
        signal: this.#stopping.signal,
      });
    } catch (error) {
      // The SDK quotes the connection string in its error messages.
      const reason = errorText(error).replaceAll(credentials.connection_string, '[redacted]');
      return { reason, isSilence: false, isThrottled: false };
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
    const { clock, entropy, log, gate = OPEN_GATE } = this.#deps;
    return new PartitionReader({
      key: `${this.#key()}/${partition}`,
      from,
      handler,
      onReceived: () => {
        this.#resetBackoff();
        this.#standing.proven();
        this.#standing.received(1, clock.wallMs());
      },
      onSettled: () => this.#standing.settled(1),
      onExpired: (count) => this.#standing.expired(count),
      gate,
      onAdvanced: (position) => ownership.settled(partition, position),
      clock,
      entropy,
      log,
    });
  }

  #resetBackoff(): void {
    this.#backoff.reset();
    this.#throttledBackoff.reset();
  }

  /** The key of the shares in the checkpoint store. */
  #key(): string {
    return `${hubOf(this.#options)}/${this.#options.consumer_group}`;
  }
}

function toDelivery(source: string, event: ReceivedEventData): Delivery {
  const body: unknown = event.body;
  const device: unknown = event.systemProperties?.['iothub-connection-device-id'];
  return {
    source,
    // Other producers may send text or a structure; the decoder rejects such messages as dead letters.
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
