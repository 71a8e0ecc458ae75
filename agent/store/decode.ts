/** Decodes the thread's answers into the store's types. */
import { IntervalSet } from '../../shared/interval-set.ts';
import { type EncodedStreamState, NUMBERS_PER_READ_RECORD, type ReadResult } from './protocol.ts';
import type { StoredRecord, StreamState } from './types.ts';

/** Decodes new sets at each call: they belong to the caller. */
export function decodeState({ pending, accepted, gaps, ...rest }: EncodedStreamState): StreamState {
  return {
    ...rest,
    pending: IntervalSet.decode(pending),
    accepted: new Map(accepted.map(({ provider, ranges }) => [provider, IntervalSet.decode(ranges)])),
    gaps: gaps.slice(),
  };
}

/** The payloads are views into the transferred buffer. */
export function decodeRecords({ words, numbers, payloads }: ReadResult): StoredRecord[] {
  const records: StoredRecord[] = [];
  let offset = 0;
  for (let at = 0; at < numbers.length; at += NUMBERS_PER_READ_RECORD) {
    const length = numbers[at + 4] ?? 0;
    records.push({
      seq: numbers[at] ?? 0,
      device: words[numbers[at + 1] ?? 0] ?? '',
      topic: words[numbers[at + 2] ?? 0] ?? '',
      payload: payloads.subarray(offset, offset + length),
      monoMs: numbers[at + 3] ?? 0,
    });
    offset += length;
  }
  return records;
}
