/** From a device's publish to a durable record: which stream it belongs to, and the append. */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import { topicMatches } from '../../shared/policy/topic-filter.ts';
import type { SessionItem } from '../store/file/session-items.ts';
import type { Store } from '../store/store.ts';
import { type NewRecord, recordBytes } from '../store/types.ts';

/** A publish that the broker is about to accept. */
export interface Publish {
  /** MQTT client id. */
  device: string;
  topic: string;
  payload: Uint8Array;
  qos: 0 | 1 | 2;
  /** The device set DUP: it may have sent this before, and an earlier one may be in the buffer. */
  retransmitted: boolean;
  /** What of its session has to become durable with the record. */
  session: SessionItem | null;
}

export interface IntakeCounters {
  records: number;
  bytes: number;
  /** Not taken: the store refused or failed. */
  failed: number;
  /** Of `records`, those with DUP set. */
  retransmitted: number;
}

export interface Intake {
  /** Tells `settled` when the record is durable (I1), or why it is not known to be. */
  take(publish: Publish, settled: (error: Error | null) => void): void;
  /** By stream. */
  counters(): Map<string, IntakeCounters>;
}

interface Destination {
  stream: string;
  counted: IntakeCounters;
}

/** Topics whose stream is remembered (I10). */
const TOPICS_KNOWN_MAX = 10_000;

export interface IntakeOptions {
  store: Pick<Store, 'submit'>;
  /** In order: the first with a matching topic filter takes the publish. One must take every topic. */
  streams: ReadonlyArray<{ name: string; filters: readonly string[] }>;
  clock: Clock;
  log: Logger;
}

export function createIntake({ store, streams, clock, log }: IntakeOptions): Intake {
  const counters = new Map<string, IntakeCounters>(
    streams.map(({ name }) => [name, { records: 0, bytes: 0, failed: 0, retransmitted: 0 }]),
  );
  log.info({ event: 'intake.streams', streams });

  /** Devices publish to few topics, again and again. */
  const known = new Map<string, Destination>();

  const destinationOf = (topic: string): Destination => {
    const before = known.get(topic);
    if (before) return before;
    const stream = streams.find(({ filters }) => filters.some((filter) => topicMatches(filter, topic)));
    const counted = stream && counters.get(stream.name);
    if (!counted) throw new Error(`no stream takes topic ${topic}; the policy must have one that takes "#"`);
    if (known.size >= TOPICS_KNOWN_MAX) known.clear();
    const destination = { stream: stream.name, counted };
    known.set(topic, destination);
    return destination;
  };

  return {
    take(publish, settled) {
      const { stream, counted } = destinationOf(publish.topic);
      const { retransmitted } = publish;
      const record = recordOf(publish, stream, clock.monoMs());
      // The record itself is not kept until then: thousands wait for one commit, and what lives that long is
      // dear to collect.
      const bytes = recordBytes(record);
      store.submit(record, publish.session, (error) => {
        if (error) {
          counted.failed += 1;
        } else {
          counted.records += 1;
          counted.bytes += bytes;
          if (retransmitted) counted.retransmitted += 1;
        }
        settled(error);
      });
    },
    counters: () => counters,
  };
}

function recordOf({ device, topic, payload }: Publish, stream: string, monoMs: number): NewRecord {
  return { stream, device, topic, payload, monoMs: Math.floor(monoMs) };
}
