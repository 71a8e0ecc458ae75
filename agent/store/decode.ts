/** From what the thread sends back to the store's own words. */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { EncodedStreamState, ReadResult } from './protocol.ts';
import type { StoredRecord, StreamState } from './types.ts';

/** With sets of its own each time: they belong to whoever asked. */
export function decodeState({ pending, accepted, gaps, ...rest }: EncodedStreamState): StreamState {
  return {
    ...rest,
    pending: IntervalSet.decode(pending),
    accepted: new Map(accepted.map(({ provider, ranges }) => [provider, IntervalSet.decode(ranges)])),
    gaps: gaps.slice(),
  };
}

/** The payloads are views into the one buffer that was transferred. */
export function decodeRecords({
  seqs,
  devices,
  topics,
  monoMs,
  lengths,
  payloads,
}: ReadResult): StoredRecord[] {
  let offset = 0;
  return seqs.map((seq, i) => {
    const length = lengths[i] ?? 0;
    const payload = payloads.subarray(offset, offset + length);
    offset += length;
    return { seq, device: devices[i] ?? '', topic: topics[i] ?? '', payload, monoMs: monoMs[i] ?? 0 };
  });
}
