/**
 * The frame around an envelope's content, as docs/reference/envelope.md specifies it. Version 1 has a
 * checksum. Version 2 adds, in clear text, the ids and the range, and a signature over all of it: a reader
 * verifies before it unpacks or decodes anything. Version 3 is version 2 with an encrypted content.
 */
import { crc32 } from 'node:zlib';
import type { SeqRange, StreamKey } from '../record.ts';
import { EnvelopeError } from './error.ts';
import { type EnvelopeSealer, readRecipients, type WrappedKey, writeRecipients } from './seal.ts';

/** Flag bit 0: the content is a zstd frame. */
const FLAG_ZSTD = 1;

const PLAIN = 1;
const SIGNED = 2;
const SEALED = 3;
const VERSIONS = [PLAIN, SIGNED, SEALED] as const;
export type FrameVersion = (typeof VERSIONS)[number];

const HEADER_BYTES = 8;
const KEY_ID_BYTES = 8;
const SIGNATURE_BYTES = 64;
/** Version 2: header, key id, first, last. The names follow. */
const NAMES_AT = HEADER_BYTES + KEY_ID_BYTES + 16;
const NAME = /^[a-z0-9_][a-z0-9_-]{0,63}$/;
const NAMES = ['gateway', 'epoch', 'stream'] as const;

/** Makes the signature of a frame: 64 bytes over its start and its content. */
export interface EnvelopeSigner {
  /** 16 hex digits. */
  readonly keyId: string;
  sign(head: Uint8Array, content: Uint8Array): Uint8Array;
}

/** The clear text of a frame of version 2 or 3. */
export interface OuterFrame extends StreamKey {
  /** 16 hex digits. */
  keyId: string;
  /** Lowest and highest seq of records and gaps together; null without any. */
  range: SeqRange | null;
  /** All bytes before the content: the signature is over these and the content. */
  head: Uint8Array;
  signature: Uint8Array;
  /** The content key of version 3 for each recipient; null for version 2, whose content is not encrypted. */
  recipients: readonly WrappedKey[] | null;
}

export interface OpenedFrame {
  isCompressed: boolean;
  content: Uint8Array;
  /** Null for a frame of version 1, which is not signed. */
  outer: OuterFrame | null;
}

/** The version of an encoded envelope. */
export function versionOf(bytes: Uint8Array): FrameVersion {
  return VERSIONS.find((version) => version === bytes[2]) ?? PLAIN;
}

/** Writes a frame of version 1. */
export function writePlainFrame(content: Uint8Array, isCompressed: boolean): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + content.length);
  writeStart(bytes, PLAIN, isCompressed);
  bytes.set(content, HEADER_BYTES);
  bytes.writeUInt32BE(checksum(bytes), 4);
  return bytes;
}

/** The clear text of a frame to write. The names are those of an envelope: ASCII. */
export interface FrameIds {
  key: StreamKey;
  range: SeqRange | null;
}

/** Writes a frame of version 2, signed by `signer`; with a sealer one of version 3. */
export function writeSignedFrame(
  plain: Uint8Array,
  isCompressed: boolean,
  ids: FrameIds,
  signer: EnvelopeSigner,
  sealer: EnvelopeSealer | null = null,
): Uint8Array {
  const head = headOf(isCompressed, ids, signer, sealer);
  const content = sealer === null ? plain : sealer.seal(head, plain);
  const signatureAt = head.length + content.length;
  const bytes = Buffer.allocUnsafe(signatureAt + SIGNATURE_BYTES);
  bytes.set(head);
  bytes.set(content, head.length);
  const unsigned = bytes.subarray(0, signatureAt);
  unsigned.writeUInt32BE(checksum(unsigned), 4);
  bytes.set(signer.sign(bytes.subarray(0, head.length), content), signatureAt);
  return bytes;
}

/** The bytes before the content; those of the CRC are not written yet. */
function headOf(
  isCompressed: boolean,
  { key, range }: FrameIds,
  signer: EnvelopeSigner,
  sealer: EnvelopeSealer | null,
): Buffer {
  const names = NAMES.map((field) => key[field]);
  const recipients = sealer === null ? [] : writeRecipients(sealer.recipients);
  const recipientsAt = NAMES_AT + names.reduce((bytes, name) => bytes + 1 + name.length, 0);
  const head = Buffer.alloc(recipientsAt + recipients.length);
  writeStart(head, sealer === null ? SIGNED : SEALED, isCompressed);
  head.write(signer.keyId, HEADER_BYTES, 'hex');
  head.writeBigUInt64BE(BigInt(range?.first ?? 0), HEADER_BYTES + KEY_ID_BYTES);
  head.writeBigUInt64BE(BigInt(range?.last ?? 0), HEADER_BYTES + KEY_ID_BYTES + 8);
  let at = NAMES_AT;
  for (const name of names) {
    at = head.writeUInt8(name.length, at);
    at += head.write(name, at, 'latin1');
  }
  head.set(recipients, recipientsAt);
  return head;
}

/** Reads a frame of any known version; verifies no signature. Throws EnvelopeError for any other bytes. */
export function openFrame(input: Uint8Array): OpenedFrame {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  if (bytes.length < HEADER_BYTES + 1) throw new EnvelopeError('truncated', `only ${bytes.length} bytes`);
  if (bytes.toString('latin1', 0, 2) !== 'HG') throw new EnvelopeError('magic', 'does not start with "HG"');
  const version = bytes.readUInt8(2);
  if (version !== PLAIN && version !== SIGNED && version !== SEALED)
    throw new EnvelopeError('version', `format version ${version} is not known`);
  const flags = bytes.readUInt8(3);
  if ((flags & ~FLAG_ZSTD) !== 0) throw new EnvelopeError('flags', `unknown flags 0x${flags.toString(16)}`);
  const end = version === PLAIN ? bytes.length : bytes.length - SIGNATURE_BYTES;
  if (end < HEADER_BYTES + 1) throw new EnvelopeError('truncated', `only ${bytes.length} bytes`);
  const unsigned = bytes.subarray(0, end);
  if (checksum(unsigned) !== bytes.readUInt32BE(4))
    throw new EnvelopeError('checksum', 'checksum does not match');
  const isCompressed = (flags & FLAG_ZSTD) !== 0;
  if (version === PLAIN) return { isCompressed, content: unsigned.subarray(HEADER_BYTES), outer: null };
  const { names, end: namesEnd } = readNames(unsigned);
  const [gateway, epoch, stream] = names;
  const { recipients, contentAt } =
    version === SEALED ? readRecipients(unsigned, namesEnd) : { recipients: null, contentAt: namesEnd };
  const outer = {
    keyId: bytes.toString('hex', HEADER_BYTES, HEADER_BYTES + KEY_ID_BYTES),
    gateway,
    epoch,
    stream,
    range: readRange(unsigned),
    head: unsigned.subarray(0, contentAt),
    signature: bytes.subarray(end),
    recipients,
  };
  return { isCompressed, content: unsigned.subarray(contentAt), outer };
}

function writeStart(bytes: Buffer, version: number, isCompressed: boolean): void {
  bytes.write('HG', 0, 'latin1');
  bytes.writeUInt8(version, 2);
  bytes.writeUInt8(isCompressed ? FLAG_ZSTD : 0, 3);
}

function readNames(unsigned: Buffer): { names: [string, string, string]; end: number } {
  let at = NAMES_AT;
  const next = (field: (typeof NAMES)[number]): string => {
    // At least one byte of content follows the names.
    const length = at < unsigned.length ? unsigned.readUInt8(at) : 0;
    const name = unsigned.toString('latin1', at + 1, at + 1 + length);
    at += 1 + length;
    if (at >= unsigned.length) throw new EnvelopeError('truncated', 'the frame ends before its content');
    if (!NAME.test(name)) throw new EnvelopeError('frame', `${field}: not a name`);
    return name;
  };
  const names: [string, string, string] = [next('gateway'), next('epoch'), next('stream')];
  return { names, end: at };
}

function readRange(unsigned: Buffer): SeqRange | null {
  const first = Number(unsigned.readBigUInt64BE(HEADER_BYTES + KEY_ID_BYTES));
  const last = Number(unsigned.readBigUInt64BE(HEADER_BYTES + KEY_ID_BYTES + 8));
  if (first === 0 && last === 0) return null;
  if (first < 1 || last < first || !Number.isSafeInteger(last))
    throw new EnvelopeError('frame', `range: ${first} to ${last}`);
  return { first, last };
}

/** CRC-32 (IEEE 802.3) of all bytes except its own four. */
function checksum(bytes: Buffer): number {
  return crc32(bytes.subarray(HEADER_BYTES), crc32(bytes.subarray(0, 4)));
}
