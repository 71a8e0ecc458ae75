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

/** @param level 1 (fast) to 22; zstd's own choice is 3. */
export function compress(content: Uint8Array, level: number): Buffer {
  return zstdCompressSync(content, {
    chunkSize: room(content.length),
    params: { [constants.ZSTD_c_compressionLevel]: level },
  });
}

/** Throws on an incomplete frame, and on a frame that unpacks to more than `maxBytes`. */
export function decompress(frame: Uint8Array, maxBytes: number): Buffer {
  return zstdDecompressSync(frame, {
    chunkSize: room(frame.length * USUAL_RATIO),
    maxOutputLength: maxBytes,
  });
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
