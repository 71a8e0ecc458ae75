/** The stored form of an envelope's new records: CBOR, as a zstd frame where that is smaller. */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { encode as encodeCbor } from 'cborg';
import { decodeCbor } from '../../../shared/envelope/cbor.ts';
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import type { SendReason } from '../../../shared/envelope/send-reason.ts';
import type { TelemetryRecord } from '../../../shared/record.ts';

export interface Arrival {
  source: string;
  receivedWallMs: number;
  clock: EnvelopeClock;
  sentAs: SendReason | null;
  /** Ascending by seq. */
  records: readonly TelemetryRecord[];
}

const PLAIN = 0;
const ZSTD = 1;
const COMPRESSION = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

type Row = [seqStep: number, monoMs: number, device: number, topic: number, payload: Uint8Array];
type Body = [
  source: string,
  receivedWallMs: number,
  bootId: string,
  offsetMs: number,
  synchronised: boolean,
  devices: string[],
  topics: string[],
  rows: Row[],
  /** Absent where the gateway gave no reason, and in data of earlier versions. */
  sentAs?: SendReason,
];

export function encodeArrival({ source, receivedWallMs, clock, sentAs, records }: Arrival): Uint8Array {
  const devices = new Map<string, number>();
  const topics = new Map<string, number>();
  let previous = 0;
  const rows = records.map(({ seq, monoMs, device, topic, payload }): Row => {
    const row: Row = [seq - previous, monoMs, indexOf(devices, device), indexOf(topics, topic), payload];
    previous = seq;
    return row;
  });
  const body: Body = [
    source,
    receivedWallMs,
    clock.bootId,
    clock.offsetMs,
    clock.quality === 'synchronised',
    [...devices.keys()],
    [...topics.keys()],
    rows,
  ];
  if (sentAs !== null) body.push(sentAs);
  const plain = encodeCbor(body);
  const packed = zstdCompressSync(plain, COMPRESSION);
  return packed.length < plain.length
    ? Buffer.concat([Buffer.of(ZSTD), packed])
    : Buffer.concat([Buffer.of(PLAIN), plain]);
}

/** Decodes the output of {@link encodeArrival}; the server has checked the bytes. */
export function decodeArrival(bytes: Uint8Array): Arrival {
  const content = bytes.subarray(1);
  const plain = bytes[0] === ZSTD ? zstdDecompressSync(content) : content;
  const body = decodeCbor(plain) as Body;
  const [source, receivedWallMs, bootId, offsetMs, synchronised, devices, topics, rows, sentAs = null] = body;
  let seq = 0;
  return {
    source,
    receivedWallMs,
    clock: { bootId, offsetMs, quality: synchronised ? 'synchronised' : 'unsynchronised' },
    sentAs,
    records: rows.map(([step, monoMs, device, topic, payload]) => {
      seq += step;
      return { seq, monoMs, device: devices[device] ?? '', topic: topics[topic] ?? '', payload };
    }),
  };
}

/** The index of `word` in the order of first use. */
function indexOf(words: Map<string, number>, word: string): number {
  const known = words.get(word);
  if (known !== undefined) return known;
  words.set(word, words.size);
  return words.size - 1;
}
