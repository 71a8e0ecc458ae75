/**
 * Frames of zstd (RFC 8878), with room for what comes out cut to measure: by itself Node.js takes 128 KB for
 * each call, however little goes in, and what is not on its own heap is collected late.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** The least room that Node.js takes. */
const ROOM_BYTES_MIN = 64;
const ROOM_BYTES_MAX = 128 * 1024;
/**
 * Readings that repeat themselves shrink to about an eighth; where they shrink further, there is a second
 * piece of room.
 */
const USUAL_RATIO = 8;

/** @param level 1 (fast) to 22; zstd's own choice is 3. */
export function compress(content: Uint8Array, level: number): Buffer {
  return zstdCompressSync(content, {
    chunkSize: room(content.length),
    params: { [constants.ZSTD_c_compressionLevel]: level },
  });
}

/** Throws on an incomplete frame, and on a frame with more than `maxBytes`. */
export function decompress(frame: Uint8Array, maxBytes: number): Buffer {
  return zstdDecompressSync(frame, {
    chunkSize: room(frame.length * USUAL_RATIO),
    maxOutputLength: maxBytes,
  });
}

/**
 * Frees at once what lies behind a buffer that nobody looks at again; a small one shares a block with others
 * and stays.
 */
export function giveBack({ buffer }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength !== Buffer.poolSize) buffer.transfer(0);
}

function room(bytes: number): number {
  return Math.max(ROOM_BYTES_MIN, Math.min(bytes, ROOM_BYTES_MAX));
}
