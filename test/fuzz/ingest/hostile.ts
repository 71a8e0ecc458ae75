/**
 * Hostile envelopes, each with the reasons that it may be refused for. Made from a seed alone, so that any of
 * them can be made again by its number.
 */
import { constants, crc32, zstdCompressSync } from 'node:zlib';
import { encode as encodeCbor } from 'cborg';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { type EnvelopeSigner, openFrame } from '../../../shared/envelope/frame.ts';
import { GAP_REASONS } from '../../../shared/record.ts';
import { envelope } from '../../router/ledger/envelopes.ts';
import { Fields } from '../packets.ts';

export const KINDS = [
  'noise',
  'truncated',
  'flipped',
  'cbor',
  'schema',
  'bomb',
  'oversized',
  'nul',
  'foreign',
] as const;

/** Each has a case in {@link forgery}: one of a sealed envelope belongs here too. */
export const FORGERIES = [
  'stripped',
  'forged',
  'stranger',
  'cross-gateway',
  'downgraded',
  'grafted',
] as const;

/** What an envelope without a verified signature may not do, where a source accepts any. */
export const UNPROVEN = ['wide-gap', 'far-end'] as const;

type Kind = (typeof KINDS)[number];
type Unproven = (typeof UNPROVEN)[number];
type Forgery = (typeof FORGERIES)[number];

/** The keys of gw-1, of another registered gateway, and of nobody. */
export interface FuzzKeys {
  own: EnvelopeSigner;
  other: EnvelopeSigner;
  stranger: EnvelopeSigner;
}

const FORGED_GAP = { first: 1_000_000, last: 2_000_000, reason: 'quota' } as const;
const SIGNATURE_REASONS = ['unsigned', 'unknown-key', 'signature'];

export interface Hostile {
  /** `largest` and `too large`: by the bounds of a source, not by the seed alone. */
  kind: Kind | Forgery | Unproven | 'largest' | 'too large';
  bytes: Buffer;
  /** Any of these is right. */
  reasons: readonly string[];
}

/** A flipped bit or a cut is found by whichever check comes to it first. */
const DAMAGED = ['truncated', 'magic', 'version', 'flags', 'checksum', 'frame'];
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
      return made(kind, bomb(1_000_001 + fields.below(5_000_000)), ['limit']);
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

function made(kind: Hostile['kind'], bytes: Buffer, reasons: readonly string[]): Hostile {
  return { kind, bytes, reasons };
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
function bomb(lists: number): Buffer {
  const body = Buffer.alloc(5 + lists, 0x80);
  body.writeUInt8(0x9a, 0);
  body.writeUInt32BE(lists, 1);
  return frame(zstdCompressSync(body, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }), 1);
}

/** A header that is right for `body`. */
function frame(body: Uint8Array, flags = 0): Buffer {
  const head = Buffer.from([0x48, 0x47, 1, flags]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body, crc32(head)));
  return Buffer.concat([head, sum, body]);
}
