/** Stores a device's publish as a durable record: finds its stream and appends it to the store. */
import type { Clock } from '../../shared/clock.ts';
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { Logger } from '../../shared/log.ts';
import { topicMatches } from '../../shared/policy/topic-filter.ts';
import type { Store } from '../store/store.ts';
import { type NewRecord, recordBytes, type SessionItem } from '../store/types.ts';

/** A publish that the broker is about to accept. */
export interface Publish {
  /** MQTT client id. */
  device: string;
  topic: string;
  payload: Uint8Array;
  qos: 0 | 1 | 2;
  /** The DUP flag: the device may have sent this publish before, and the buffer may hold the earlier one. */
  retransmitted: boolean;
  /** An item of the client's session that becomes durable in the same transaction. */
  session: SessionItem | null;
}

export interface IntakeCounters {
  records: number;
  bytes: number;
  /** Publishes that the store refused, or failed to store. */
  failed: number;
  /** Of `records`, those with DUP set. */
  retransmitted: number;
}

interface Destination {
  stream: string;
  counted: IntakeCounters;
}

/** Upper bound for the names of gateway, epoch, stream and boot, the CBOR heads, and a signed frame. */
export const ENVELOPE_OVERHEAD_BYTES = 816;
const EMPTY_ENVELOPE: Omit<Envelope, 'stream' | 'records'> = {
  gateway: 'g',
  epoch: '1-00000000',
  clock: { bootId: 'b', offsetMs: 0, quality: 'synchronised' },
  lane: 'live',
  gaps: [],
  sealedAt: null,
};
/** Topics whose stream is cached (I10). */
const TOPICS_KNOWN_MAX = 10_000;

/** The part of the policy that intake follows. */
export interface IntakeRules {
  /** The first stream with a matching topic filter takes the publish. One stream must match every topic. */
  streams: ReadonlyArray<{ name: string; filters: readonly string[] }>;
  /** The largest envelope that the providers of a stream take; no limit for a stream without an entry. */
  envelopeBytes?: ReadonlyMap<string, number>;
}

export interface IntakeOptions extends IntakeRules {
  store: Pick<Store, 'submit'>;
  clock: Clock;
  log: Logger;
}

export class Intake {
  readonly #store: IntakeOptions['store'];
  readonly #log: Logger;
  #streams: IntakeRules['streams'] = [];
  readonly #clock: Clock;
  #envelopeBytes: ReadonlyMap<string, number> = new Map();
  /** By stream name; those of streams that left the policy stay. */
  readonly #counters = new Map<string, IntakeCounters>();
  /** By topic: devices publish to few topics repeatedly. */
  readonly #destinations = new Map<string, Destination>();

  constructor({ store, clock, log, ...rules }: IntakeOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.setRules(rules);
  }

  /** Other rules hold from the next publish on. */
  setRules({ streams, envelopeBytes = new Map() }: IntakeRules): void {
    this.#streams = streams;
    this.#envelopeBytes = envelopeBytes;
    this.#destinations.clear();
    for (const { name } of streams) {
      if (!this.#counters.has(name))
        this.#counters.set(name, { records: 0, bytes: 0, failed: 0, retransmitted: 0 });
    }
    this.#log.info({ event: 'intake.streams', streams });
  }

  /** Whether the providers of the stream take an envelope with this record alone. */
  fits({ topic, device, payload }: Pick<Publish, 'topic' | 'device' | 'payload'>): boolean {
    const { stream } = this.#destinationOf(topic);
    const most = this.#envelopeBytes.get(stream) ?? Number.POSITIVE_INFINITY;
    const bytes = payload.length + Buffer.byteLength(topic) + Buffer.byteLength(device);
    if (bytes + ENVELOPE_OVERHEAD_BYTES <= most) return true;
    // Compression may make it smaller: this is an upper estimate of the envelope's size.
    const record = { seq: 1, monoMs: Math.floor(this.#clock.monoMs()), device, topic, payload };
    const envelope = { ...EMPTY_ENVELOPE, stream, records: [record] };
    return encodeEnvelope(envelope).length + ENVELOPE_OVERHEAD_BYTES <= most;
  }

  /** Calls `settled` with null when the record is durable (I1), else with the error. */
  take(publish: Publish, settled: (error: Error | null) => void): void {
    const { stream, counted } = this.#destinationOf(publish.topic);
    const { retransmitted } = publish;
    const record = recordOf(publish, stream, this.#clock.monoMs());
    // The callback keeps the size and not the record: thousands of records wait for one commit, and
    // long-lived objects are expensive to collect.
    const bytes = recordBytes(record);
    this.#store.submit(record, publish.session, (error) => {
      if (error) {
        counted.failed += 1;
      } else {
        counted.records += 1;
        counted.bytes += bytes;
        if (retransmitted) counted.retransmitted += 1;
      }
      settled(error);
    });
  }

  /** Records taken since the start, over all streams. */
  get records(): number {
    return [...this.counters().values()].reduce((sum, { records }) => sum + records, 0);
  }

  /** By stream name. */
  counters(): ReadonlyMap<string, IntakeCounters> {
    return this.#counters;
  }

  #destinationOf(topic: string): Destination {
    const known = this.#destinations.get(topic);
    if (known) return known;
    const stream = this.#streams.find(({ filters }) => filters.some((filter) => topicMatches(filter, topic)));
    const counted = stream && this.#counters.get(stream.name);
    if (!counted) throw new Error(`no stream takes topic ${topic}; the policy must have one that takes "#"`);
    if (this.#destinations.size >= TOPICS_KNOWN_MAX) this.#destinations.clear();
    const destination = { stream: stream.name, counted };
    this.#destinations.set(topic, destination);
    return destination;
  }
}

function recordOf({ device, topic, payload }: Publish, stream: string, monoMs: number): NewRecord {
  return { stream, device, topic, payload, monoMs: Math.floor(monoMs) };
}
