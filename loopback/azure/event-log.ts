/**
 * The events of the hub, in partitions, in memory: the messages that IoT Hub routes to its Event Hubs
 * compatible endpoint. Every consumer group reads the same log. Events are not settled; the oldest are
 * dropped when a partition exceeds its size.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { OnStored } from '../cloud.ts';

export interface HubEvent {
  /** Dense from 0 in the partition. */
  sequenceNumber: number;
  /** Position of its first byte in the partition, as text. */
  offset: string;
  enqueuedMs: number;
  device: string;
  body: Buffer;
  properties: Record<string, string>;
}

export type NewEvent = Pick<HubEvent, 'device' | 'body' | 'properties'>;

/** A consumer's start position: the parsed selector filter of its link. */
export interface Selector {
  by: 'offset' | 'sequence-number' | 'enqueued-time';
  /** Events after this value; `@latest` for later events only. */
  value: string;
  inclusive: boolean;
}

/**
 * Bytes of bodies per partition; a real hub keeps a day to a week. Above the maximum, events are dropped down
 * to the minimum.
 */
const RETAINED_MAX_BYTES = 128 * 2 ** 20;
const RETAINED_MIN_BYTES = 112 * 2 ** 20;

export class Partition {
  readonly id: string;
  readonly #events: HubEvent[] = [];
  /** Sequence number of the oldest event. */
  #begin = 0;
  #retainedBytes = 0;
  #endOffset = 0;

  constructor(id: string) {
    this.id = id;
  }

  get begin(): number {
    return this.#begin;
  }

  get last(): HubEvent | undefined {
    return this.#events.at(-1);
  }

  append(event: NewEvent, enqueuedMs: number): void {
    this.#events.push({
      ...event,
      sequenceNumber: this.#begin + this.#events.length,
      offset: String(this.#endOffset),
      enqueuedMs,
    });
    this.#endOffset += event.body.length + 1;
    this.#retainedBytes += event.body.length;
  }

  /** Drops the oldest events above the maximum; returns the number dropped. */
  trim(): number {
    let dropped = 0;
    if (this.#retainedBytes < RETAINED_MAX_BYTES) return dropped;
    while (this.#retainedBytes > RETAINED_MIN_BYTES) {
      this.#retainedBytes -= this.#events[dropped]?.body.length ?? this.#retainedBytes;
      dropped += 1;
    }
    this.#events.splice(0, dropped);
    this.#begin += dropped;
    return dropped;
  }

  /** Drops all events but the newest, as if the others were too old. */
  keepNewest(kept: number): void {
    const dropped = this.#events.splice(0, Math.max(0, this.#events.length - kept));
    this.#begin += dropped.length;
    for (const { body } of dropped) this.#retainedBytes -= body.length;
  }

  /** The event with this sequence number, or the oldest one when that is gone; undefined at the end. */
  at(sequenceNumber: number): HubEvent | undefined {
    return this.#events[Math.max(0, sequenceNumber - this.#begin)];
  }

  /** Sequence number of the first event that matches the selector. */
  seek(selector: Selector): number {
    const end = this.#begin + this.#events.length;
    if (selector.value === '@latest') return end;
    const from = Number(selector.value);
    const index = this.#events.findIndex((event) => {
      const value = positionOf(event, selector.by);
      return selector.inclusive ? value >= from : value > from;
    });
    return index < 0 ? end : this.#begin + index;
  }
}

function positionOf(event: HubEvent, by: Selector['by']): number {
  if (by === 'offset') return Number(event.offset);
  return by === 'sequence-number' ? event.sequenceNumber : event.enqueuedMs;
}

export class EventLog {
  readonly partitions: readonly Partition[];
  /** When the hub was created; part of its identity for consumers that keep positions. */
  readonly createdMs: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onStored: OnStored | null;
  readonly #watchers = new Set<() => void>();

  constructor(options: {
    partitions: number;
    onStored?: OnStored | undefined;
    clock: Clock;
    log: Logger;
  }) {
    this.#onStored = options.onStored ?? null;
    this.partitions = Array.from({ length: options.partitions }, (_, index) => new Partition(String(index)));
    this.#clock = options.clock;
    this.#log = options.log;
    this.createdMs = options.clock.wallMs();
  }

  /** Appends to the partition of the event's device, so that each device's events stay in order. */
  append(event: NewEvent, enqueuedMs = this.#clock.wallMs()): void {
    const partition = this.partitions[hash(event.device) % this.partitions.length];
    if (!partition) return;
    partition.append(event, enqueuedMs);
    const { body, ...rest } = event;
    this.#onStored?.(JSON.stringify({ ...rest, data: body.toString('base64') }));
    const dropped = partition.trim();
    if (dropped > 0) this.#log.warn({ event: 'loopback.azure.retention', partition: partition.id, dropped });
    for (const wake of this.#watchers) wake();
  }

  /** Calls `wake` after every append until the returned function is called. */
  watch(wake: () => void): () => void {
    this.#watchers.add(wake);
    return () => this.#watchers.delete(wake);
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
