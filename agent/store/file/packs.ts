/** Splits the columns of a commit into future chunks: the records of each stream, in order of arrival. */

import { NUMBERS_PER_RECORD, type RecordColumns } from '../protocol.ts';
import { recordBytes } from '../types.ts';
import { CHUNK_BYTES_MAX, CHUNK_RECORDS_MAX, type ChunkRecord } from './chunk.ts';

/** Records of one future chunk. */
export interface Pack {
  records: ChunkRecord[];
  /** Sum of `recordBytes`. */
  bytes: number;
}

/** By stream, with bounded sizes. */
export function packsOf(columns: RecordColumns): Map<string, Pack[]> {
  const packs = new Map<string, Pack[]>();
  let offset = 0;
  for (let i = 0; i < columns.count; i++) {
    const at = i * NUMBERS_PER_RECORD;
    const [stream = 0, device = 0, topic = 0, monoMs = 0, length = 0] = columns.numbers.subarray(
      at,
      at + NUMBERS_PER_RECORD,
    );
    const payload = columns.payloads.subarray(offset, offset + length);
    offset += length;
    const name = columns.streams[stream] ?? '';
    const record = {
      device: columns.devices[device] ?? '',
      topic: columns.topics[topic] ?? '',
      monoMs,
      payload,
    };
    add(packs, name, record);
  }
  return packs;
}

function add(packs: Map<string, Pack[]>, stream: string, record: ChunkRecord): void {
  const bytes = recordBytes(record);
  const own = packs.get(stream) ?? [];
  packs.set(stream, own);
  const last = own.at(-1);
  if (last && last.records.length < CHUNK_RECORDS_MAX && last.bytes + bytes <= CHUNK_BYTES_MAX) {
    last.records.push(record);
    last.bytes += bytes;
  } else {
    own.push({ records: [record], bytes });
  }
}
