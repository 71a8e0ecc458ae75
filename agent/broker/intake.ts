/** From a device's publish to a durable record: which stream it belongs to, and the append. */
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
  /** The device set DUP: it may have sent this before, and an earlier one may be in the buffer. */
  retransmitted: boolean;
  /** An item of the client's session that becomes durable with the record. */
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

/** Names of gateway, epoch, stream and boot, and the heads of fields, with room to spare. */
const ENVELOPE_OVERHEAD_BYTES = 512;
const EMPTY_ENVELOPE: Omit<Envelope, 'stream' | 'records'> = {
  gateway: 'g',
  epoch: '1-00000000',
  clock: { bootId: 'b', offsetMs: 0, quality: 'synchronised' },
  lane: 'live',
  gaps: [],
  sealedAt: null,
};
/** Topics whose stream is remembered (I10). */
const TOPICS_KNOWN_MAX = 10_000;

export interface IntakeOptions {
  store: Pick<Store, 'submit'>;
  /** In order: the first with a matching topic filter takes the publish. One must take every topic. */
  streams: ReadonlyArray<{ name: string; filters: readonly string[] }>;
  /** By stream: the largest envelope that its providers take. No limit for a stream that is not in it. */
  envelopeBytes?: ReadonlyMap<string, number>;
  clock: Clock;
  log: Logger;
}

export class Intake {
  readonly #store: IntakeOptions['store'];
  readonly #streams: IntakeOptions['streams'];
  readonly #clock: Clock;
  readonly #envelopeBytes: ReadonlyMap<string, number>;
  /** By stream. */
  readonly #counters: Map<string, IntakeCounters>;
  /** By topic: devices publish to few topics, again and again. */
  readonly #destinations = new Map<string, Destination>();

  constructor({ store, streams, envelopeBytes = new Map(), clock, log }: IntakeOptions) {
    this.#envelopeBytes = envelopeBytes;
    this.#store = store;
    this.#streams = streams;
    this.#clock = clock;
    this.#counters = new Map(
      streams.map(({ name }) => [name, { records: 0, bytes: 0, failed: 0, retransmitted: 0 }]),
    );
    log.info({ event: 'intake.streams', streams });
  }

  /** Whether the providers of its stream take an envelope with this record alone. */
  fits({ topic, device, payload }: Pick<Publish, 'topic' | 'device' | 'payload'>): boolean {
    const { stream } = this.#destinationOf(topic);
    const most = this.#envelopeBytes.get(stream) ?? Number.POSITIVE_INFINITY;
    const bytes = payload.length + Buffer.byteLength(topic) + Buffer.byteLength(device);
    if (bytes + ENVELOPE_OVERHEAD_BYTES <= most) return true;
    // It may shrink: this is the envelope, or its size within some bytes.
    const record = { seq: 1, monoMs: Math.floor(this.#clock.monoMs()), device, topic, payload };
    const envelope = { ...EMPTY_ENVELOPE, stream, records: [record] };
    return encodeEnvelope(envelope).length + ENVELOPE_OVERHEAD_BYTES <= most;
  }

  /** Calls `settled` when the record is durable (I1), or with the reason why it is not known to be. */
  take(publish: Publish, settled: (error: Error | null) => void): void {
    const { stream, counted } = this.#destinationOf(publish.topic);
    const { retransmitted } = publish;
    const record = recordOf(publish, stream, this.#clock.monoMs());
    // The callback keeps the size and not the record: thousands of records wait for one commit, and garbage
    // that lives so long is expensive to collect.
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

  /** By stream. */
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
