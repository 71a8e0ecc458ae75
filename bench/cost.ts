/**
 * The saving by packing: a day of readings at a steady rate through the real queue, packer, envelope codec
 * and metering, compared with one publish per reading. On a virtual clock, without sockets; the data come
 * from a fixed seed.
 */
import { Stream } from '../agent/forward/queue/stream.ts';
import type { StreamQueue } from '../agent/forward/queue/stream-queue.ts';
import { seededEntropy } from '../shared/entropy.ts';
import { envelopeProperties } from '../shared/envelope/codec.ts';
import type { Envelope } from '../shared/envelope/envelope.ts';
import { streamSchema } from '../shared/policy/policy.ts';
import {
  billedUnits,
  type EnvelopeSizes,
  propertyBytes,
  standardTariff,
} from '../shared/pricing/metering.ts';
import type { TelemetryRecord } from '../shared/record.ts';
import { readingOf } from './load/readings.ts';
import { type Bench, type Measured, rounded } from './measure.ts';

const CLOUDS = ['aws', 'azure', 'gcp'] as const;
const RATES = [10, 200] as const;
const DAY_MS = 86_400_000;
/** The interval at which the forwarder checks its queues. */
const TICK_MS = 25;
const GATEWAY = 'gw-0042';
const STREAM = 'telemetry';
const TARIFFS = { aws: standardTariff('aws'), azure: standardTariff('azure'), gcp: standardTariff('gcp') };
const EPOCH = '3-9f3a61c2';
const POLICY = streamSchema.parse({ topics: ['#'], linger: '1s' });

type Units = Record<(typeof CLOUDS)[number], number>;

export const bench: Bench = {
  name: 'cost',
  summary: `a day of 100-byte readings with linger ${POLICY.linger / 1000}s: billed units against one publish per reading`,
  run,
};

function run(): Promise<Measured> {
  const rows: Array<Record<string, string | number>> = [];
  const figures: Record<string, number> = {};
  for (const rate of RATES) {
    const { packed, naive, readings, envelopes, payloadBytes } = day(rate);
    for (const cloud of CLOUDS) {
      const share = packed[cloud] / naive[cloud];
      rows.push({
        'readings/s': rate,
        cloud,
        'bytes/reading': rounded(payloadBytes / readings),
        'readings/envelope': rounded(readings / envelopes),
        'naive units/M': Math.round((naive[cloud] / readings) * 1e6),
        'packed units/M': Math.round((packed[cloud] / readings) * 1e6),
        'packed/naive': rounded(share),
      });
      figures[`${cloud}_vs_naive_${rate}`] = rounded(share);
      if (rate === RATES[1]) figures[`${cloud}_vs_naive`] = rounded(share);
    }
  }
  return Promise.resolve({ rows, figures });
}

interface Day {
  packed: Units;
  naive: Units;
  readings: number;
  envelopes: number;
  payloadBytes: number;
}

/** A simulated day at `rate` readings a second; each reading is committed in the tick of its arrival. */
function day(rate: number): Day {
  const entropy = seededEntropy(7);
  const stream = new Stream(STREAM, POLICY);
  const queue = stream.current(EPOCH);
  const result: Day = { packed: none(), naive: none(), readings: 0, envelopes: 0, payloadBytes: 0 };
  let waiting: TelemetryRecord[] = [];
  for (let nowMs = TICK_MS; nowMs <= DAY_MS + POLICY.linger; nowMs += TICK_MS) {
    const arrived: TelemetryRecord[] = [];
    while (nowMs <= DAY_MS && result.readings < Math.floor((nowMs * rate) / 1000)) {
      result.readings += 1;
      arrived.push(readingOf(result.readings, nowMs, entropy));
    }
    const [first] = arrived;
    if (first) {
      const bytes = arrived.reduce((sum, { payload }) => sum + payload.length, 0);
      queue.committed(first.seq, result.readings, bytes, nowMs);
      waiting.push(...arrived);
      result.payloadBytes += bytes;
      for (const { topic, payload } of arrived) {
        bill(result.naive, {
          payloadBytes: payload.length,
          topicBytes: Buffer.byteLength(topic),
          propertyBytes: 0,
        });
      }
    }
    waiting = drained(stream, queue, waiting, nowMs, result);
  }
  if (waiting.length > 0) throw new Error(`${waiting.length} readings were never packed`);
  return result;
}

/** Packs and bills the due readings; returns the rest. */
function drained(
  stream: Stream,
  queue: StreamQueue,
  records: TelemetryRecord[],
  nowMs: number,
  result: Day,
): TelemetryRecord[] {
  let waiting = records;
  for (;;) {
    const [run] = queue.runs('live', Number.MAX_SAFE_INTEGER);
    if (!run || !stream.due(queue, run, nowMs)) return waiting;
    queue.reserve(run.first, run.last);
    const { bytes, envelope } = stream.packer.pack(header(), waiting, POLICY.envelope_bytes);
    const last = run.first + envelope.records.length - 1;
    queue.packed({ first: run.first, last }, last < run.last ? { first: last + 1, last: run.last } : null);
    queue.accepted('cloud', run.first, last, 1);
    queue.release(run.first, last);
    waiting = waiting.slice(envelope.records.length);
    result.envelopes += 1;
    bill(result.packed, {
      payloadBytes: bytes.length,
      topicBytes: Buffer.byteLength(`headgate/${GATEWAY}/${STREAM}`),
      propertyBytes: propertyBytes(envelopeProperties(envelope)),
    });
  }
}

function header(): Omit<Envelope, 'records'> {
  return {
    gateway: GATEWAY,
    epoch: EPOCH,
    stream: STREAM,
    clock: {
      bootId: '5f0c9e0a-6d3e-4a53-9a2c-3f1b6f0d7c11',
      offsetMs: 1_790_000_000_000,
      quality: 'synchronised',
    },
    lane: 'live',
    gaps: [],
    sealedAt: null,
  };
}

function bill(units: Units, sizes: EnvelopeSizes): void {
  for (const cloud of CLOUDS) units[cloud] += billedUnits(TARIFFS[cloud], sizes);
}

function none(): Units {
  return { aws: 0, azure: 0, gcp: 0 };
}
