/**
 * Hostile envelopes, each with the reasons that it may be refused for. Made from a seed alone, so that any of
 * them can be made again by its number.
 */
import { constants, crc32, zstdCompressSync } from 'node:zlib';
import { encode as encodeCbor } from 'cborg';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
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

type Kind = (typeof KINDS)[number];

export interface Hostile {
  /** `largest` and `too large`: by the bounds of a source, not by the seed alone. */
  kind: Kind | 'largest' | 'too large';
  bytes: Buffer;
  /** Any of these is right. */
  reasons: readonly string[];
}

/** A flipped bit or a cut is found by whichever check comes to it first. */
const DAMAGED = ['truncated', 'magic', 'version', 'flags', 'checksum'];
/** Far more than an envelope of one metering unit, and what every provider takes with what it adds. */
const OVERSIZED_BYTES = 80_000;
/** Larger ones repeat it: to draw each of millions of bytes would take longer than to send them. */
const NOISE_BYTES = 1024;
const HEADER_BYTES = 8;
const MAX_SEQ = Number.MAX_SAFE_INTEGER;

export function hostile(kind: Kind, seed: number): Hostile {
  const fields = new Fields(seededEntropy(seed));
  const good = Buffer.from(
    encodeEnvelope(envelope({ stream: 'never', seqs: [1 + fields.below(1000)], text: 'never' })),
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

/** Noise behind a right checksum, of this size to the byte. */
export function noise(kind: 'largest' | 'too large', sizeBytes: number, seed: number): Hostile {
  const fields = new Fields(seededEntropy(seed));
  const body = Buffer.alloc(sizeBytes - HEADER_BYTES, fields.bytes(NOISE_BYTES));
  return made(kind, frame(body), kind === 'largest' ? ['cbor', 'schema', 'limit'] : ['limit']);
}

function made(kind: Hostile['kind'], bytes: Buffer, reasons: readonly string[]): Hostile {
  return { kind, bytes, reasons };
}

/** Right in every part but one. */
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
