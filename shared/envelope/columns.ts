/**
 * An envelope in columns: numbers in one array, texts once each, payloads where they stand in the body.
 * Columns go from thread to thread without a copy, and an object per record is made where it is used, some at
 * a time.
 */
import { GAP_REASONS, type Gap, type SeqRange, type TelemetryRecord } from '../record.ts';
import type { Envelope } from './envelope.ts';

/** The position in a list is the value on the wire; append only. */
export const QUALITIES = ['unsynchronised', 'synchronised'] as const;
export const LANES = ['live', 'backlog'] as const;

/** Seq, monotonic ms, index of the device, index of the topic, where the payload begins, its length. */
export const NUMBERS_PER_RECORD = 6;
/** First, last, index of the reason. */
export const NUMBERS_PER_GAP = 3;
/** {@link recordsOf} and {@link gapsOf} make objects of them. */
export interface EnvelopeColumns {
  head: Omit<Envelope, 'records' | 'gaps'>;
  devices: string[];
  topics: string[];
  records: Float64Array<ArrayBuffer>;
  gaps: Float64Array<ArrayBuffer>;
  /** Holds the payloads. */
  body: Uint8Array;
}

export function recordCount({ records }: EnvelopeColumns): number {
  return records.length / NUMBERS_PER_RECORD;
}

/** The records `from` to `to`, the latter not included; payloads are views of the body. */
export function recordsOf(columns: EnvelopeColumns, from: number, to: number): TelemetryRecord[] {
  const { records: numbers, devices, topics, body } = columns;
  const payloads = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const records: TelemetryRecord[] = [];
  for (let i = from * NUMBERS_PER_RECORD; i < to * NUMBERS_PER_RECORD; i += NUMBERS_PER_RECORD) {
    const begin = at(numbers, i + 4);
    records.push({
      seq: at(numbers, i),
      monoMs: at(numbers, i + 1),
      device: member(devices, at(numbers, i + 2)),
      topic: member(topics, at(numbers, i + 3)),
      payload: payloads.subarray(begin, begin + at(numbers, i + 5)),
    });
  }
  return records;
}

export function gapsOf({ gaps: numbers }: EnvelopeColumns): Gap[] {
  const gaps: Gap[] = [];
  for (let i = 0; i < numbers.length; i += NUMBERS_PER_GAP)
    gaps.push({
      first: at(numbers, i),
      last: at(numbers, i + 1),
      reason: member(GAP_REASONS, at(numbers, i + 2)),
    });
  return gaps;
}

/** Records and gaps by number alone. */
export interface Ends {
  records: ReadonlyArray<{ seq: number }>;
  gaps: ReadonlyArray<SeqRange>;
}

/** The first and the last record, the first and the last gap; a single one may be there twice. */
export function endsOf({ records, gaps }: Pick<EnvelopeColumns, 'records' | 'gaps'>): Ends {
  const ends = (length: number, each: number): number[] => (length === 0 ? [] : [0, length - each]);
  return {
    records: ends(records.length, NUMBERS_PER_RECORD).map((i) => ({ seq: at(records, i) })),
    gaps: ends(gaps.length, NUMBERS_PER_GAP).map((i) => ({ first: at(gaps, i), last: at(gaps, i + 1) })),
  };
}

export function envelopeOf(columns: EnvelopeColumns): Envelope {
  const records = recordsOf(columns, 0, recordCount(columns));
  return { ...columns.head, records, gaps: gapsOf(columns) };
}

export function at(numbers: Float64Array, index: number): number {
  return numbers[index] ?? Number.NaN;
}

export function member<T>(values: readonly T[], index: number): T {
  const value = values[index];
  if (value === undefined) throw new Error(`no value ${index} of ${values.length}`);
  return value;
}
