/**
 * zstd frames (RFC 8878) with output buffers of fitting size: by default Node.js allocates 128 KB per call,
 * however small the input, and memory outside of its own heap is freed late.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** The smallest buffer that Node.js accepts. */
const ROOM_BYTES_MIN = 64;
const ROOM_BYTES_MAX = 128 * 1024;
/** Repetitive readings shrink to about an eighth; a higher ratio needs a second buffer. */
const USUAL_RATIO = 8;

const MAGIC = 0xfd2fb528;
/** Bits of the frame header's descriptor. */
const SINGLE_SEGMENT = 0x20;
const RESERVED = 0x08;
const CHECKSUM = 0x04;
/** By the lowest two bits of the descriptor. */
const DICTIONARY_BYTES = [0, 1, 2, 4];
const BLOCK_HEAD_BYTES = 3;
/** The type of a block that is one byte, repeated. */
const BLOCK_OF_ONE_BYTE = 1;

/** @param level 1 (fast) to 22; zstd's own choice is 3. */
export function compress(content: Uint8Array, level: number): Buffer {
  return zstdCompressSync(content, {
    chunkSize: room(content.length),
    params: { [constants.ZSTD_c_compressionLevel]: level },
  });
}

/** Throws on an incomplete frame, and `ERR_BUFFER_TOO_LARGE` on one that unpacks to more than `maxBytes`. */
export function decompress(frame: Uint8Array, maxBytes: number): Buffer {
  const { contentBytes: announced, blocks } = readFrameHead(frame) ?? { contentBytes: null, blocks: 1 };
  // Every block but the last is 128 KiB as a rule, however few bytes it takes in the frame.
  const usual = blocks > 1 ? ROOM_BYTES_MAX : room(frame.length * USUAL_RATIO);
  // One byte more than announced: Node.js allocates again when a buffer is full to the end.
  const chunkSize =
    announced === null || announced > maxBytes ? usual : Math.max(ROOM_BYTES_MIN, announced + 1);
  return zstdDecompressSync(frame, { chunkSize, maxOutputLength: maxBytes });
}

export interface FrameHead {
  /** Bytes of the content; null when the frame does not announce them. */
  contentBytes: number | null;
  /** Bytes of memory that a decoder needs for the window. */
  windowBytes: number;
  blocks: number;
}

/** Reads the head of a zstd frame (RFC 8878, 3.1.1.1); null when `bytes` are not exactly one frame. */
export function readFrameHead(bytes: Uint8Array): FrameHead | null {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (frame.length < 6 || frame.readUInt32LE(0) !== MAGIC) return null;
  const descriptor = frame.readUInt8(4);
  const isSingle = (descriptor & SINGLE_SEGMENT) !== 0;
  const windowAt = 5;
  const sizeAt = windowAt + (isSingle ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 3] ?? 0);
  const sizeBytes = descriptor >> 6 === 0 ? (isSingle ? 1 : 0) : 2 ** (descriptor >> 6);
  if ((descriptor & RESERVED) !== 0 || frame.length < sizeAt + sizeBytes) return null;
  const checksumBytes = (descriptor & CHECKSUM) === 0 ? 0 : 4;
  const { end, blocks } = blocksFrom(frame, sizeAt + sizeBytes);
  if (end + checksumBytes !== frame.length) return null;
  const contentBytes = sizeBytes === 0 ? null : contentSize(frame, sizeAt, sizeBytes);
  return {
    contentBytes,
    windowBytes: isSingle ? (contentBytes ?? 0) : windowSize(frame.readUInt8(windowAt)),
    blocks,
  };
}

function contentSize(frame: Buffer, at: number, bytes: number): number {
  if (bytes === 8) return Number(frame.readBigUInt64LE(at));
  // Two bytes count from 256.
  return frame.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0);
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** How many blocks there are, and where the last ends (3.1.1.2); NaN when it is not in the frame. */
function blocksFrom(frame: Buffer, first: number): { blocks: number; end: number } {
  let at = first;
  let blocks = 0;
  while (at + BLOCK_HEAD_BYTES <= frame.length) {
    const head = frame.readUIntLE(at, BLOCK_HEAD_BYTES);
    const isRepeated = ((head >> 1) & 3) === BLOCK_OF_ONE_BYTE;
    at += BLOCK_HEAD_BYTES + (isRepeated ? 1 : head >> 3);
    blocks += 1;
    if ((head & 1) === 1) return { blocks, end: at };
  }
  return { blocks, end: Number.NaN };
}

/**
 * Frees the memory of an unused buffer at once; a small buffer shares a block with others and is not freed.
 */
export function giveBack({ buffer }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength !== Buffer.poolSize) buffer.transfer(0);
}

function room(bytes: number): number {
  return Math.max(ROOM_BYTES_MIN, Math.min(bytes, ROOM_BYTES_MAX));
}
