/**
 * Hostile envelopes, each with the reasons that it may be refused for. Made from a seed alone, so that any of
 * them can be made again by its number.
 */
import { constants, crc32, zstdCompressSync } from 'node:zlib';
import { encode as encodeCbor } from 'cborg';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { openFrame } from '../../../shared/envelope/frame.ts';
import { GAP_REASONS } from '../../../shared/record.ts';
import { envelope } from '../../router/ledger/envelopes.ts';
import { Fields } from '../packets.ts';
import {
  DAMAGED,
  type Forgery,
  type FuzzKeys,
  type Hostile,
  type Kind,
  made,
  SIGNATURE_REASONS,
  type Unproven,
} from './kinds.ts';

const FORGED_GAP = { first: 1_000_000, last: 2_000_000, reason: 'quota' } as const;
/** Far more than an envelope of one metering unit, and what every provider takes with what it adds. */
const OVERSIZED_BYTES = 80_000;
/** Larger ones repeat it: to draw each of millions of bytes would take longer than to send them. */
const NOISE_BYTES = 1024;
const HEADER_BYTES = 8;
const MAX_SEQ = Number.MAX_SAFE_INTEGER;

/** How a gateway's envelope is encoded. */
export type Encode = (envelope: Envelope) => Uint8Array;

/** `signs`: `encode` signs. `isSigned`: the source accepts nothing else. */
export function hostile(
  kind: Kind,
  seed: number,
  encode: Encode,
  { signs, isSigned }: { signs: boolean; isSigned: boolean },
): Hostile {
  const one = madeOf(kind, seed, encode);
  // The signature is looked at first. A flipped bit is in the key id, in a name or in the signature.
  const isDamaged = kind === 'truncated' || kind === 'flipped';
  const first = isDamaged && signs ? SIGNATURE_REASONS : isSigned ? ['unsigned'] : [];
  return { ...one, reasons: [...one.reasons, ...first] };
}

/** Not signed, of a stream that has none of the gateway's signatures, and beyond every bound. */
export function unproven(kind: Unproven, seed: number): Hostile {
  const last = MAX_SEQ - new Fields(seededEntropy(seed)).below(2 ** 31);
  const gaps = kind === 'wide-gap' ? [{ first: 1, last, reason: 'quota' as const }] : [];
  const sealedAt = kind === 'far-end' ? last : null;
  const bytes = encodeEnvelope(envelope({ stream: 'never', gaps, sealedAt }));
  return made(kind, Buffer.from(bytes), ['implausible']);
}

function madeOf(kind: Kind, seed: number, encode: Encode): Hostile {
  const fields = new Fields(seededEntropy(seed));
  const good = Buffer.from(
    encode(envelope({ stream: 'never', seqs: [1 + fields.below(1000)], text: 'never' })),
  );
  switch (kind) {
    case 'noise':
      return made(kind, Buffer.from(fields.bytes(1 + fields.below(400))), ['truncated', 'magic']);
    case 'truncated':
      return made(kind, good.subarray(0, 1 + fields.below(good.length - 1)), DAMAGED);
    case 'flipped': {
      const bytes = Buffer.from(good);
      const at = fields.below(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << fields.below(8));
      return made(kind, bytes, DAMAGED);
    }
    case 'cbor':
      // Bytes that begin no CBOR item, with a checksum that is right.
      return made(kind, frame(Buffer.concat([Buffer.of(0xff), fields.bytes(fields.below(200))])), ['cbor']);
    case 'schema':
      return made(kind, frame(encodeCbor(wrongBody(fields))), ['schema', 'cbor']);
    case 'bomb':
      return made(kind, frame(bomb(1_000_001 + fields.below(5_000_000)), 1), ['limit']);
    case 'oversized':
      return made(kind, frame(Buffer.from(fields.bytes(OVERSIZED_BYTES))), ['cbor', 'schema', 'limit']);
    case 'nul':
      return made(
        kind,
        Buffer.from(encodeEnvelope(envelope({ stream: 'never', seqs: [1], topic: 'a\0b' }))),
        ['nul'],
      );
    case 'foreign':
      return made(
        kind,
        Buffer.from(
          encodeEnvelope(envelope({ gateway: 'gw-other', stream: 'never', seqs: [1 + fields.below(1000)] })),
        ),
        ['foreign-gateway'],
      );
  }
}

/**
 * Envelopes that the gateway did not send so. `signedStream`: a stream that it has signed before, for a
 * source that accepts any; null for a source that accepts signed ones alone.
 */
export function forgery(kind: Forgery, seed: number, keys: FuzzKeys, signedStream: string | null): Hostile {
  const one = forged(kind, seed, keys, signedStream ?? 'never');
  if (signedStream === null) return one;
  const isTaken = (reason: string) => reason === 'unsigned' || reason === 'unknown-key';
  return { ...one, reasons: one.reasons.map((reason) => (isTaken(reason) ? 'unproven' : reason)) };
}

function forged(kind: Forgery, seed: number, keys: FuzzKeys, stream: string): Hostile {
  const fields = new Fields(seededEntropy(seed));
  const sketch = envelope({ stream, seqs: [1 + fields.below(1000)], gaps: [FORGED_GAP] });
  switch (kind) {
    case 'stripped':
      return made(kind, Buffer.from(encodeEnvelope(sketch)), ['unsigned']);
    case 'forged': {
      const bytes = Buffer.from(encodeEnvelope(sketch, keys.own));
      const at = bytes.length - 1 - fields.below(64);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << fields.below(8));
      return made(kind, bytes, ['signature']);
    }
    case 'stranger':
      return made(kind, Buffer.from(encodeEnvelope(sketch, keys.stranger)), ['unknown-key']);
    case 'cross-gateway':
      return made(kind, Buffer.from(encodeEnvelope(sketch, keys.other)), ['unknown-key']);
    case 'downgraded': {
      const bytes = Buffer.from(encodeEnvelope(sketch, keys.own));
      bytes[2] = 1;
      return made(kind, bytes, ['checksum', 'unsigned']);
    }
    case 'grafted': {
      // The frame and signature of one envelope around the content of another.
      const good = Buffer.from(encodeEnvelope(sketch, keys.own));
      const other = { ...sketch, records: sketch.records.map((one) => ({ ...one, topic: 'forged' })) };
      const { content, isCompressed } = openFrame(encodeEnvelope(other));
      const { outer } = openFrame(good);
      const head = Buffer.from(outer?.head ?? []);
      head[3] = isCompressed ? 1 : 0;
      head.writeUInt32BE(crc32(content, crc32(head.subarray(8), crc32(head.subarray(0, 4)))), 4);
      return made(kind, Buffer.concat([head, content, good.subarray(-64)]), ['signature']);
    }
  }
}

/** Noise behind a right checksum, of this size to the byte. */
export function noise(
  kind: 'largest' | 'too large',
  sizeBytes: number,
  seed: number,
  isSigned: boolean,
): Hostile {
  const fields = new Fields(seededEntropy(seed));
  const body = Buffer.alloc(sizeBytes - HEADER_BYTES, fields.bytes(NOISE_BYTES));
  const read = isSigned ? ['unsigned'] : ['cbor', 'schema', 'limit'];
  return made(kind, frame(body), kind === 'largest' ? read : ['limit']);
}

/** A body with one wrong part. */
function wrongBody(fields: Fields): unknown {
  const record: unknown[] = [1, 5, 0, 0, Buffer.of(1)];
  const body: unknown[] = ['gw-1', '1-aa', 'never', ['boot', 0, 1], 0, ['d'], ['t'], [record], [], null];
  const wrongs: readonly [unknown, ...unknown[]] = [
    body.slice(1),
    [...body, 1],
    {},
    'text',
    body.with(0, 'No Name'),
    body.with(0, '../../etc/passwd'),
    body.with(1, ''),
    body.with(2, '__proto__'.repeat(20)),
    body.with(3, ['b'.repeat(200), 0, 1]),
    body.with(3, ['boot', 0.5, 1]),
    body.with(3, ['boot', 0, 7]),
    body.with(4, -1),
    body.with(5, [1]),
    body.with(7, [record.with(0, 0)]),
    body.with(7, [record.with(0, MAX_SEQ), record]),
    body.with(7, [record.with(1, Number.NaN)]),
    body.with(7, [record.with(2, 9)]),
    body.with(7, [record.with(4, 'text')]),
    body.with(7, [record.with(4, null)]),
    body.with(8, [[1, 9, 0]]),
    body.with(8, [[9, 5, 0]]),
    body.with(8, [
      [5, 9, 0],
      [7, 9, 0],
    ]),
    body.with(8, [[5, 9, GAP_REASONS.length]]),
    body.with(9, -1),
    body.with(9, 2 ** 60),
  ];
  return fields.pick(wrongs);
}

/** A few hundred bytes that unpack to a list of this many empty lists. */
export function bomb(lists: number): Buffer {
  const body = Buffer.alloc(5 + lists, 0x80);
  body.writeUInt8(0x9a, 0);
  body.writeUInt32BE(lists, 1);
  return zstdCompressSync(body, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
}

/** The CRC-32 of a signed frame, written anew. */
export function withChecksum(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(crc32(bytes.subarray(8, -64), crc32(bytes.subarray(0, 4))), 4);
  return bytes;
}

/** A header that is right for `body`. */
function frame(body: Uint8Array, flags = 0): Buffer {
  const head = Buffer.from([0x48, 0x47, 1, flags]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body, crc32(head)));
  return Buffer.concat([head, sum, body]);
}
