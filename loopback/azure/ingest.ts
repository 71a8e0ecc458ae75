/**
 * The way from the hub's MQTT endpoint to its event log, with the delivery faults, metered like Azure's
 * billing.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { emptyMeter } from '../cloud.ts';
import type { Fault } from '../faults.ts';
import type { EventLog, NewEvent } from './event-log.ts';

/**
 * Largest device-to-cloud message, body and properties together (Azure docs, "IoT Hub quotas and
 * throttling").
 */
export const MESSAGE_MAX_BYTES = 262_144;
/**
 * A message is billed in units of 4 KB, properties included (Azure docs, "Azure IoT Hub pricing
 * information").
 */
const UNIT_BYTES = 4096;
const REORDER_WINDOW_MS = 500;

export class Ingest {
  readonly #events: EventLog;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly meter = emptyMeter();
  #held: NewEvent[] = [];
  /** Held by `late`, in the order of arrival. */
  #late: { event: NewEvent; enqueuedMs: number }[] = [];

  constructor(options: { events: EventLog; clock: Clock; entropy: Entropy }) {
    this.#events = options.events;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
  }

  /** Meters one message, then routes it to the log under the active fault. */
  take(event: NewEvent, fault: Fault | null): void {
    const { st: stream = '' } = event.properties;
    this.meter.accepted += 1;
    this.meter.units += unitsOf(messageBytes(event));
    this.meter.bytes += event.body.length;
    this.meter.perStream[stream] = (this.meter.perStream[stream] ?? 0) + 1;
    if (fault?.name === 'drop-after-ack') return;
    if (fault?.name === 'late') {
      this.#late.push({ event, enqueuedMs: this.#clock.wallMs() - fault.latencyMs });
      return;
    }
    if (fault?.name === 'reorder') {
      this.#hold(event);
      return;
    }
    this.#events.append(event);
    if (fault?.name === 'duplicate') this.#events.append(event);
  }

  /** Delivers the messages held by `late`. */
  releaseLate(): void {
    const late = this.#late;
    this.#late = [];
    for (const { event, enqueuedMs } of late) this.#events.append(event, enqueuedMs);
  }

  #hold(event: NewEvent): void {
    if (this.#held.length === 0) this.#clock.setTimer(REORDER_WINDOW_MS, () => this.#release());
    this.#held.push(event);
  }

  #release(): void {
    const events = this.#held;
    this.#held = [];
    while (events.length > 0) {
      const [event] = events.splice(Math.floor(this.#entropy.float() * events.length), 1);
      if (event) this.#events.append(event);
    }
  }
}

/** Body and application properties, in bytes. */
export function messageBytes(event: NewEvent): number {
  return Object.entries(event.properties).reduce(
    (bytes, [key, value]) => bytes + Buffer.byteLength(key) + Buffer.byteLength(value),
    event.body.length,
  );
}

/** Billed units of a message or of a twin operation, rounded up. */
export function unitsOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / UNIT_BYTES));
}
