/**
 * One connection to the Event Hubs endpoint, from its opening to its end, with a receiver on every partition
 * that is this router's own. It is never mended: the SDK's own recovery can go back to the initial position
 * (azure-sdk-for-js#33205) or leave a partition silent (#13647, #22115), so any error, a closed socket or a
 * watchdog's verdict ends the session, and the next one begins where the partitions have got to.
 */
import type { EventHubConsumerClient, ReceivedEventData, Subscription } from '@azure/event-hubs';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { ByteStream, type ByteStreamOptions } from './byte-stream.ts';
import type { IncomingEvent, PartitionReader } from './partition.ts';

const BATCH_EVENTS = 32;
/** Credit: what the service may send ahead of us (I10). */
const PREFETCH_EVENTS = 64;
/** For each question to the service; the SDK's own time-out cannot be less than 60 s. */
const REQUEST_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 1000;

export interface SessionOptions {
  sdk: { EventHubConsumerClient: typeof EventHubConsumerClient };
  connectionString: string;
  eventHub: string;
  consumerGroup: string;
  ca: string | null;
  /** How often a partition that received nothing is asked whether it should have. */
  watchdogMs: number;
  clock: Clock;
  /**
   * Takes part in the sharing of the hub's partitions; which of them are this router's is in `readers` from
   * then on.
   */
  join: (partitions: readonly string[]) => Promise<void>;
  readers: ReadonlyMap<string, PartitionReader>;
  toDelivery: (event: ReceivedEventData) => IncomingEvent['delivery'];
  /** Has `sync` called after each change of `readers`. */
  follow: (sync: () => void) => void;
  onConnected: () => void;
  /** Events of this router's partitions that are not settled yet; told at each round of the watchdog. */
  onBacklog: (events: number) => void;
  /** Ends the session from outside. */
  signal: AbortSignal;
}

/** Runs one session; resolves with the reason when it is over. Never rejects. */
export async function runSession(options: SessionOptions): Promise<string> {
  const session = new Session(options);
  const stop = (): void => session.end('stopped');
  options.signal.addEventListener('abort', stop, { once: true });
  if (options.signal.aborted) stop();
  const reason = await session.run();
  options.signal.removeEventListener('abort', stop);
  return reason;
}

class Session {
  readonly #options: SessionOptions;
  readonly #client: EventHubConsumerClient;
  /** Stops the taking of events, and requests under way. */
  readonly #aborter = new AbortController();
  /** Destroys the connection. */
  readonly #disconnect = new AbortController();
  readonly #over = Promise.withResolvers<string>();
  readonly #receivers = new Map<PartitionReader, Receiver>();
  /** Partitions whose receiver is on its way out. */
  readonly #closing = new Set<string>();
  /** Per partition: the last sequence number received when the watchdog found it behind. */
  readonly #behind = new Map<string, number>();

  constructor(options: SessionOptions) {
    const { sdk, connectionString, eventHub, consumerGroup, ca } = options;
    this.#options = options;
    const streamOptions: ByteStreamOptions = {
      ...endpointOf(connectionString),
      ca,
      signal: this.#disconnect.signal,
      onClose: (error) => this.end(error ? errorText(error) : 'connection closed'),
    };
    this.#client = new sdk.EventHubConsumerClient(consumerGroup, connectionString, eventHub, {
      retryOptions: { maxRetries: 0 },
      webSocketOptions: { webSocket: ByteStream, webSocketConstructorOptions: streamOptions },
    });
  }

  /** Idempotent; the first reason counts. */
  end(reason: string): void {
    this.#over.resolve(reason);
    this.#aborter.abort();
  }

  async run(): Promise<string> {
    void this.#open().catch((error) => this.end(errorText(error)));
    const reason = await this.#over.promise;
    const patience = new AbortController();
    const closed = this.#client.close().catch(() => undefined);
    await Promise.race([
      closed.finally(() => patience.abort()),
      this.#options.clock.sleep(CLOSE_TIMEOUT_MS, patience.signal),
    ]);
    this.#disconnect.abort();
    return reason;
  }

  async #open(): Promise<void> {
    const { join, follow, onConnected } = this.#options;
    const { partitionIds, createdOn } = await this.#within(
      this.#client.getEventHubProperties({ abortSignal: this.#aborter.signal }),
    );
    await join(partitionIds);
    if (this.#aborter.signal.aborted) return;
    const sync = (): void => this.#sync(createdOn.getTime());
    follow(sync);
    sync();
    onConnected();
    await this.#watch();
  }

  /** A receiver on each partition that is this router's own, and on no other. */
  #sync(createdMs: number): void {
    const { readers } = this.#options;
    if (this.#aborter.signal.aborted) return;
    for (const [reader, receiver] of this.#receivers) {
      if (!reader.dropped) continue;
      this.#receivers.delete(reader);
      void this.#closeReceiver(receiver);
    }
    for (const [partition, reader] of readers) {
      if (this.#receivers.has(reader)) continue;
      // The SDK takes one subscriber for a partition.
      if (this.#closing.has(partition)) {
        this.end(`partition ${partition} went and came back`);
        return;
      }
      this.#behind.delete(partition);
      this.#receivers.set(reader, { partition, receiver: this.#subscribe(partition, reader, createdMs) });
    }
  }

  async #closeReceiver({ partition, receiver }: Receiver): Promise<void> {
    this.#closing.add(partition);
    try {
      await receiver.close();
    } catch (error) {
      this.end(`partition ${partition}: ${errorText(error)}`);
    }
    this.#closing.delete(partition);
  }

  #subscribe(partition: string, reader: PartitionReader, createdMs: number): Subscription {
    const { toDelivery } = this.#options;
    const { signal } = this.#aborter;
    return this.#client.subscribe(
      partition,
      {
        processEvents: (events) =>
          reader.take(
            events.map((event) => ({
              sequenceNumber: event.sequenceNumber,
              offset: String(event.offset),
              delivery: toDelivery(event),
            })),
            signal,
          ),
        processError: (error) => {
          if (!reader.dropped) this.end(`partition ${partition}: ${errorText(error)}`);
          return Promise.resolve();
        },
      },
      {
        // The oldest event still held, when there is no place to go on from.
        startPosition: { offset: reader.resume(createdMs)?.offset ?? '-1' },
        maxBatchSize: BATCH_EVENTS,
        prefetchCount: PREFETCH_EVENTS,
        skipParsingBodyAsJson: true,
      },
    );
  }

  async #watch(): Promise<void> {
    const { clock, watchdogMs, readers, onBacklog } = this.#options;
    const { signal } = this.#aborter;
    while (!signal.aborted) {
      await clock.sleep(watchdogMs, signal);
      let backlog = 0;
      for (const [partition, reader] of [...readers]) {
        if (!signal.aborted && !reader.dropped) backlog += await this.#check(partition, reader);
      }
      if (!signal.aborted) onBacklog(backlog);
    }
  }

  /**
   * Twice behind at the same place, with room to take more: its receiver is dead, whatever the SDK thinks.
   * Resolves with the number of events that wait.
   */
  async #check(partition: string, reader: PartitionReader): Promise<number> {
    const received = reader.receivedSequenceNumber;
    const { beginningSequenceNumber, lastEnqueuedSequenceNumber, isEmpty } = await this.#within(
      this.#client.getPartitionProperties(partition, { abortSignal: this.#aborter.signal }),
    );
    if (isEmpty) return 0;
    const done = Math.max(reader.settledSequenceNumber, beginningSequenceNumber - 1);
    const backlog = Math.max(0, lastEnqueuedSequenceNumber - done);
    if (reader.dropped || reader.full || received !== reader.receivedSequenceNumber) return backlog;
    if (received >= lastEnqueuedSequenceNumber) this.#behind.delete(partition);
    else if (this.#behind.get(partition) === received) this.end(`partition ${partition} fell silent`);
    else this.#behind.set(partition, received);
    return backlog;
  }

  async #within<T>(request: Promise<T>): Promise<T> {
    const timeout = this.#options.clock.sleep(REQUEST_TIMEOUT_MS, this.#aborter.signal).then((): never => {
      throw new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`);
    });
    return Promise.race([request, timeout]);
  }
}

interface Receiver {
  partition: string;
  receiver: Subscription;
}

/** Host and port of `Endpoint=sb://host[:port]/`; 5671 is AMQP over TLS. */
function endpointOf(connectionString: string): { host: string; port: number } {
  const endpoint = /Endpoint=sb:\/\/([^/:;]+)(?::(\d+))?/i.exec(connectionString);
  return { host: endpoint?.[1] ?? '', port: Number(endpoint?.[2] ?? 5671) };
}
