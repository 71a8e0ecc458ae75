/**
 * The frame around an envelope's content, as docs/reference/envelope.md specifies it: 8 bytes of header
 * (magic, version, flags, CRC-32), then the content.
 */
import { crc32 } from 'node:zlib';
import { EnvelopeError } from './error.ts';

export const FORMAT_VERSION = 1;
/** Flag bit 0: the content is a zstd frame. */
const FLAG_ZSTD = 1;
const HEADER_BYTES = 8;

export interface OpenedFrame {
  isCompressed: boolean;
  content: Uint8Array;
}

/** Writes a frame of version 1. */
export function writePlainFrame(content: Uint8Array, isCompressed: boolean): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + content.length);
  bytes.write('HG', 0, 'latin1');
  bytes.writeUInt8(FORMAT_VERSION, 2);
  bytes.writeUInt8(isCompressed ? FLAG_ZSTD : 0, 3);
  bytes.set(content, HEADER_BYTES);
  bytes.writeUInt32BE(checksum(bytes), 4);
  return bytes;
}

/** Reads a frame. Throws EnvelopeError for any bytes that are none. */
export function openFrame(input: Uint8Array): OpenedFrame {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  if (bytes.length < HEADER_BYTES + 1) throw new EnvelopeError('truncated', `only ${bytes.length} bytes`);
  if (bytes.toString('latin1', 0, 2) !== 'HG') throw new EnvelopeError('magic', 'does not start with "HG"');
  const version = bytes.readUInt8(2);
  if (version !== FORMAT_VERSION)
    throw new EnvelopeError('version', `format version ${version} is not known`);
  const flags = bytes.readUInt8(3);
  if ((flags & ~FLAG_ZSTD) !== 0) throw new EnvelopeError('flags', `unknown flags 0x${flags.toString(16)}`);
  if (checksum(bytes) !== bytes.readUInt32BE(4))
    throw new EnvelopeError('checksum', 'checksum does not match');
  return { isCompressed: (flags & FLAG_ZSTD) !== 0, content: bytes.subarray(HEADER_BYTES) };
}

/** CRC-32 (IEEE 802.3) of all bytes except its own four. */
function checksum(bytes: Buffer): number {
  return crc32(bytes.subarray(HEADER_BYTES), crc32(bytes.subarray(0, 4)));
}
