/** Contents of envelopes that are small and want much: zstd frames written by hand (RFC 8878), and CBOR. */
import { constants, zstdCompressSync } from 'node:zlib';
import { bodyOf } from './envelope.ts';

const MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** The largest block: 128 KiB. */
const BLOCK_BYTES = 2 ** 17;
const RLE = 1;
/** Window of 2 MiB: exponent 11, no mantissa. */
const WINDOW_2_MIB = 11 << 3;
/** Window of 3.75 TiB: the largest that the header can say. */
const WINDOW_HUGE = 0xff;

/** `blocks` times 128 KiB of one byte, in 4 bytes each; the header says no size, or `size`. */
function rle(
  blocks: number,
  { size, window = WINDOW_2_MIB }: { size?: bigint; window?: number } = {},
): Buffer {
  const sizeBytes = Buffer.alloc(size === undefined ? 0 : 8);
  if (size !== undefined) sizeBytes.writeBigUInt64LE(size);
  const descriptor = size === undefined ? 0 : 0xc0;
  const body = Buffer.alloc(blocks * 4);
  for (let i = 0; i < blocks; i += 1) {
    const isLast = i === blocks - 1 ? 1 : 0;
    body.writeUIntLE((BLOCK_BYTES << 3) | (RLE << 1) | isLast, i * 4, 3);
    body[i * 4 + 3] = 0x80;
  }
  return Buffer.concat([MAGIC, Buffer.of(descriptor, window), sizeBytes, body]);
}

const packed = (body: Uint8Array): Buffer =>
  zstdCompressSync(body, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });

/** An array of `count` items, each the byte `item`. */
function list(count: number, item: number): Buffer {
  const bytes = Buffer.alloc(5 + count, item);
  bytes[0] = 0x9a;
  bytes.writeUInt32BE(count, 1);
  return bytes;
}

/** A body whose field at `place` is replaced by these bytes. */
function withField(place: number, bytes: Uint8Array): Buffer {
  const start = Buffer.from([0x8a, 0x64, ...Buffer.from('gw-2'), 0x64, ...Buffer.from('1-aa')]);
  const fields = [
    Buffer.from([0x69, ...Buffer.from('telemetry')]),
    Buffer.from([0x83, 0x61, 0x62, 0x00, 0x01]),
    Buffer.of(0),
    Buffer.of(0x80),
    Buffer.of(0x80),
    Buffer.of(0x80),
    Buffer.of(0x80),
    Buffer.of(0xf6),
  ];
  return Buffer.concat([start, ...fields.with(place - 2, Buffer.from(bytes))]);
}

const LISTS = 5_000_000;
const DEPTH = 500_000;
const GAPS = 1_000_000;
const TEXT_BYTES = 60_000;

export interface Bomb {
  content: Buffer;
  isCompressed: boolean;
}

/** By name. What the largest would take, were it unpacked: 64 MiB to 5 million lists. */
export function bombs(): Readonly<Record<string, Bomb>> {
  const gap = Buffer.from([0x83, 0x01, 0x01, 0x00]);
  const topics = Buffer.concat([Buffer.of(0x81, 0x79), Buffer.of(TEXT_BYTES >> 8, TEXT_BYTES & 255)]);
  return {
    'zstd-ratio': { content: rle(512), isCompressed: true },
    'zstd-announced': { content: rle(4, { size: 2n ** 40n }), isCompressed: true },
    'zstd-window': { content: rle(512, { window: WINDOW_HUGE }), isCompressed: true },
    'empty-lists': { content: packed(withField(7, list(LISTS, 0x80))), isCompressed: true },
    nesting: { content: packed(withField(7, Buffer.alloc(DEPTH, 0x81))), isCompressed: true },
    gaps: {
      content: packed(
        withField(8, Buffer.concat([list(GAPS, 0).subarray(0, 5), Buffer.alloc(4 * GAPS, gap)])),
      ),
      isCompressed: true,
    },
    'announced-bytes': {
      content: withField(7, Buffer.from([0x81, 0x85, 1, 0, 0, 0, 0x5b, 0, 0, 1, 0, 0, 0, 0, 0])),
      isCompressed: false,
    },
    'long-topic': {
      content: packed(withField(6, Buffer.concat([topics, Buffer.alloc(TEXT_BYTES, 0x61)]))),
      isCompressed: true,
    },
  };
}

/** Within every limit, a few kilobytes on the wire, and as dear to decode as such a one can be. */
export function dearest(gateway: string, epoch: string): { content: Buffer; last: number } {
  const seqs = Array.from({ length: 10_000 }, (_, i) => i + 1);
  return { content: packed(bodyOf({ gateway, epoch, seqs, text: '' })), last: seqs.length };
}

/** Unpacks to 4 MiB, as much as a frame of any size may; then a payload of all of it is no record. */
export function unpackable(): Buffer {
  return rle(31);
}
