/**
 * One connection to the Event Hubs endpoint, from its opening to its end, with a receiver on every partition
 * that this router owns. A session is never repaired: the SDK's own recovery can go back to the initial
 * position (azure-sdk-for-js#33205) or leave a partition silent (#13647, #22115). Any error, a closed socket
 * or the watchdog ends the session, and the next session resumes at the partitions' positions.
 */
import type { EventHubConsumerClient, ReceivedEventData, Subscription } from '@azure/event-hubs';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { within } from '../../../shared/within.ts';
import { type ConsumerOptions, openConsumer } from './consumer.ts';
import { watchLinks } from './links.ts';
import type { IncomingEvent, PartitionReader } from './partition.ts';

const BATCH_EVENTS = 32;
/** Credit of a link: the events that the service may send ahead (I10). */
const PREFETCH_EVENTS = 64;
/**
 * Limit from the first SYN to the hub's properties, and for the attaching of the receivers; the SDK's own
 * timeout is at least 60 s.
 */
const OPEN_MS = 10_000;
/** Limit for each request of the watchdog. */
const ANSWER_MS = 5000;
/**
 * The service attaches a refused receiver first and detaches it at once; a receiver that stays attached this
 * long was accepted.
 */
const STANDING_MS = 500;
const CLOSE_MS = 1000;

export interface SessionOptions extends Pick<ConsumerOptions, 'sdk' | 'options' | 'ca'> {
  /** How often the watchdog checks a partition that received nothing. */
  watchdogMs: number;
  clock: Clock;
  /** Joins the sharing of the hub's partitions; afterwards `readers` holds the partitions of this router. */
  join: (partitions: readonly string[]) => Promise<void>;
  readers: ReadonlyMap<string, PartitionReader>;
  toDelivery: (event: ReceivedEventData) => IncomingEvent['delivery'];
  /** Registers `sync`, to be called after each change of `readers`. */
  follow: (sync: () => void) => void;
  /** The hub answered and the receivers are attached. */
  onConnected: () => void;
  /** Unsettled events of this router's partitions; reported at each round of the watchdog. */
  onBacklog: (events: number) => void;
  /** The service turned a question of the watchdog away. The session goes on: an answer came. */
  onThrottled: (error: string) => void;
  /** Aborting ends the session. */
  signal: AbortSignal;
}

/** Why a session ended. */
export interface SessionEnd {
  reason: string;
  /** The router ended the session because the service was silent. */
  isSilence: boolean;
  /** The service asks to slow down. */
  isThrottled: boolean;
}

/** Runs one session; resolves when it ended. Rejects only for an unexpected SDK version. */
export async function runSession(options: SessionOptions): Promise<SessionEnd> {
  const session = new Session(options);
  const stop = (): void => session.end('stopped');
  options.signal.addEventListener('abort', stop, { once: true });
  if (options.signal.aborted) stop();
  const end = await session.run();
  options.signal.removeEventListener('abort', stop);
  return end;
}

class Session {
  readonly #options: SessionOptions;
  readonly #client: EventHubConsumerClient;
  /** Stops receiving, and aborts running requests. */
  readonly #aborter = new AbortController();
  /** Destroys the connection. */
  readonly #disconnect = new AbortController();
  readonly #over = Promise.withResolvers<SessionEnd>();
  readonly #receivers = new Map<PartitionReader, Receiver>();
  /** Partitions whose receiver is being closed. */
  readonly #closing = new Set<string>();
  /** Per partition: the last sequence number received when the watchdog found it behind. */
  readonly #behind = new Map<string, number>();
  /** Receivers that the service has attached so far; `#onAttached` resolves the one waiter. */
  #attached = 0;
  #onAttached: () => void = () => undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#client = openConsumer({
      ...options,
      signal: this.#disconnect.signal,
      onClose: (error) => this.end(error ? errorText(error) : 'connection closed'),
    });
    watchLinks(this.#client, PREFETCH_EVENTS, () => {
      this.#attached += 1;
      this.#onAttached();
    });
  }

  /** Idempotent; the first reason counts. */
  end(reason: string, isSilence: boolean = false): void {
    this.#over.resolve({ reason, isSilence, isThrottled: false });
    this.#aborter.abort();
  }

  /** As {@link end}, for an error of the SDK. */
  #failed(error: unknown, prefix = ''): void {
    const isThrottled = isThrottling(error);
    const reason = `${isThrottled ? 'throttled: ' : ''}${prefix}${errorText(error)}`;
    this.#over.resolve({ reason, isSilence: error instanceof Silence, isThrottled });
    this.#aborter.abort();
  }

  async run(): Promise<SessionEnd> {
    void this.#open().catch((error) => this.#failed(error));
    const end = await this.#over.promise;
    const closed = this.#client.close().catch(() => undefined);
    await within(this.#options.clock, CLOSE_MS, closed, () => undefined);
    this.#disconnect.abort();
    return end;
  }

  async #open(): Promise<void> {
    const { join, follow, onConnected } = this.#options;
    const { partitionIds, createdOn } = await this.#within(
      OPEN_MS,
      this.#client.getEventHubProperties({ abortSignal: this.#aborter.signal }),
    );
    await join(partitionIds);
    if (this.#aborter.signal.aborted) return;
    const sync = (): void => this.#sync(createdOn.getTime());
    follow(sync);
    sync();
    await this.#within(OPEN_MS, this.#allAttached());
    if (this.#receivers.size > 0) await this.#options.clock.sleep(STANDING_MS, this.#aborter.signal);
    if (this.#aborter.signal.aborted) return;
    onConnected();
    await this.#watch();
  }

  /** Resolves when all current receivers are attached. */
  #allAttached(): Promise<void> {
    const count = this.#receivers.size;
    return new Promise((resolve) => {
      this.#onAttached = () => {
        if (this.#attached >= count) resolve();
      };
      this.#onAttached();
    });
  }

  /** Opens a receiver on each partition that this router owns, and closes all others. */
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
      // The SDK allows one subscriber per partition.
      if (this.#closing.has(partition)) {
        this.end(`partition ${partition} was lost and regained`);
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
          if (!reader.dropped) this.#failed(error, `partition ${partition}: `);
          return Promise.resolve();
        },
      },
      {
        // Without a position: the oldest event that the hub holds.
        startPosition: { offset: reader.resume(createdMs)?.offset ?? '-1' },
        maxBatchSize: BATCH_EVENTS,
        prefetchCount: PREFETCH_EVENTS,
        skipParsingBodyAsJson: true,
      },
    );
  }

  async #watch(): Promise<void> {
    const { clock, watchdogMs, readers, onBacklog, onThrottled } = this.#options;
    const { signal } = this.#aborter;
    while (!signal.aborted) {
      await clock.sleep(watchdogMs, signal);
      let backlog = 0;
      try {
        for (const [partition, reader] of [...readers]) {
          if (!signal.aborted && !reader.dropped) backlog += await this.#check(partition, reader);
        }
      } catch (error) {
        if (!isThrottling(error)) throw error;
        // Its limit for questions ("Event Hubs quotas": 50 a second) says nothing about the receivers.
        onThrottled(`throttled: ${errorText(error)}`);
        continue;
      }
      if (!signal.aborted) onBacklog(backlog);
    }
  }

  /**
   * A partition that is behind twice at the same position, with room in its window, has a dead receiver,
   * whatever the SDK reports. Resolves with the number of waiting events.
   */
  async #check(partition: string, reader: PartitionReader): Promise<number> {
    const received = reader.receivedSequenceNumber;
    const { beginningSequenceNumber, lastEnqueuedSequenceNumber, isEmpty } = await this.#within(
      ANSWER_MS,
      this.#client.getPartitionProperties(partition, { abortSignal: this.#aborter.signal }),
    );
    if (isEmpty) return 0;
    const done = Math.max(reader.settledSequenceNumber, beginningSequenceNumber - 1);
    const backlog = Math.max(0, lastEnqueuedSequenceNumber - done);
    if (reader.dropped || reader.full || received !== reader.receivedSequenceNumber) return backlog;
    if (received >= lastEnqueuedSequenceNumber) this.#behind.delete(partition);
    else if (this.#behind.get(partition) === received) this.end(`partition ${partition} fell silent`, true);
    else this.#behind.set(partition, received);
    return backlog;
  }

  /** Rejects with {@link Silence} when no answer comes in time. */
  async #within<T>(limitMs: number, request: Promise<T>): Promise<T> {
    return within(this.#options.clock, limitMs, request, () => {
      throw new Silence(`no answer in ${limitMs} ms`);
    });
  }
}

/** The SDK's name of `com.microsoft:server-busy`. */
function isThrottling(error: unknown): boolean {
  return Reflect.get(Object(error), 'code') === 'ServerBusyError';
}

/** The service did not answer. */
class Silence extends Error {}

interface Receiver {
  partition: string;
  receiver: Subscription;
}
