import { encode as encodeCbor } from 'cborg';
import t from 'tap';
import { decodeBody } from '../../../shared/envelope/body-reader.ts';
import { decodeEnvelope } from '../../../shared/envelope/codec.ts';
import { envelopeOf } from '../../../shared/envelope/columns.ts';
import { writePlainFrame } from '../../../shared/envelope/frame.ts';
import { ENVELOPE_LIMITS, type EnvelopeLimits, FORMAT_LIMITS } from '../../../shared/envelope/limits.ts';
import { compress } from '../../../shared/zstd.ts';
import { encodeBody } from './body.ts';

const RECORD = [1, 5, 0, 0, Buffer.of(1)];
const BODY: unknown[] = ['gw', '1-ab', 's', ['boot', 0, 1], 0, ['d'], ['t'], [RECORD], [], null];
const GOOD = Buffer.from(encodeCbor(BODY));

/** The good body with one part written in another way. */
function written(part: string, otherwise: string): Buffer {
  const hex = GOOD.toString('hex');
  if (hex.split(part).length !== 2) throw new Error(`${part} is not once in ${hex}`);
  return Buffer.from(hex.replace(part, otherwise), 'hex');
}

function refusal(body: Uint8Array, limits: Partial<EnvelopeLimits> = {}): string {
  try {
    decodeBody(body, { ...ENVELOPE_LIMITS, ...limits });
    return 'accepted';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

t.test('one form of a body is read, the canonical one', async (t) => {
  t.equal(refusal(GOOD), 'accepted');
  const others: Array<[title: string, code: string, body: Buffer]> = [
    ['an integer of one byte more', 'cbor', written('8501050000', '850118050000')],
    ['an integer of two bytes more', 'cbor', written('8501050000', '85011900050000')],
    ['an integer of eight bytes', 'cbor', written('8501050000', '85011b00000000000000050000')],
    ['a long head of a list', 'cbor', Buffer.concat([Buffer.of(0x98, 0x0a), GOOD.subarray(1)])],
    ['a long head of a text', 'cbor', written('62' + '6777', '7802' + '6777')],
    [
      'a list of indefinite length',
      'cbor',
      Buffer.concat([Buffer.of(0x9f), GOOD.subarray(1), Buffer.of(0xff)]),
    ],
    ['a text in pieces', 'cbor', written('62' + '6777', '7f' + '62' + '6777' + 'ff')],
    ['a tag', 'schema', written('8501050000', '8501c1050000')],
    ['a float', 'schema', written('8501050000', '8501f945000000')],
    ['a list inside a record', 'schema', written('8501050000', '850181050000')],
    ['undefined for null', 'schema', Buffer.concat([GOOD.subarray(0, -1), Buffer.of(0xf7)])],
    ['ill-formed UTF-8', 'cbor', written('8161' + '74', '8161' + 'ff')],
    ['a surrogate in UTF-8', 'cbor', written('8161' + '74', '8163' + 'eda080')],
    ['bytes behind the body', 'cbor', Buffer.concat([GOOD, Buffer.of(0)])],
    ['an unused word', 'schema', Buffer.from(encodeCbor(BODY.with(5, ['d', 'e'])))],
    ['a word without records', 'schema', Buffer.from(encodeCbor(BODY.with(7, [])))],
    [
      'a word twice',
      'schema',
      Buffer.from(encodeCbor(BODY.with(6, ['t', 't']).with(7, [RECORD, RECORD.with(3, 1)]))),
    ],
    [
      'words in another order',
      'schema',
      Buffer.from(encodeCbor(BODY.with(6, ['t', 'u']).with(7, [RECORD.with(3, 1), RECORD]))),
    ],
    ['a heartbeat with a record', 'schema', Buffer.from(encodeCbor(BODY.with(2, '_heartbeat')))],
    ['an integer beyond 2^53', 'schema', Buffer.from(encodeCbor(BODY.with(9, 2n ** 53n)))],
  ];
  for (const [title, code, body] of others) t.equal(refusal(body), code, title);
  t.equal(refusal(written('8161' + '74', '8163' + 'efbfbd')), 'accepted', 'U+FFFD itself');
});

t.test('a length is compared with its bound before anything is made of it (I10)', async (t) => {
  const claims: Array<[title: string, code: string, body: Buffer]> = [
    ['four billion words', 'limit', written('8161' + '64', '9affffffff' + '61' + '64')],
    ['200,000 records in no bytes', 'limit', written('8185', '9a00030d40' + '85')],
    ['as many records as there may be, in no bytes', 'cbor', written('8185', '99' + '2710' + '85')],
    ['a text of four billion bytes', 'limit', written('8161' + '74', '817affffffff' + '74')],
    ['a text longer than the rest', 'cbor', written('8161' + '74', '8178ff' + '74')],
    ['a payload of 2^60 bytes', 'limit', written('4101', '5b1000000000000000' + '01')],
    ['a payload longer than the rest', 'cbor', written('4101', '590fff' + '01')],
  ];
  for (const [title, code, body] of claims) t.equal(refusal(body), code, title);

  const records = [1, 2, 3].map(() => RECORD);
  t.equal(refusal(encodeCbor(BODY.with(7, records)), { records: 3 }), 'accepted');
  t.equal(refusal(encodeCbor(BODY.with(7, records)), { records: 2 }), 'limit');
  const gaps = [4, 5, 6].map((seq) => [seq, seq, 0]);
  t.equal(refusal(encodeCbor(BODY.with(8, gaps)), { records: 3 }), 'accepted');
  t.equal(refusal(encodeCbor(BODY.with(8, gaps)), { records: 2 }), 'limit');
  t.equal(refusal(encodeCbor(BODY.with(6, ['t'.repeat(9)])), { textBytes: 9 }), 'accepted');
  t.equal(refusal(encodeCbor(BODY.with(6, ['t'.repeat(9)])), { textBytes: 8 }), 'limit');
  t.equal(refusal(encodeCbor(BODY.with(5, ['é'.repeat(5)])), { textBytes: 9 }), 'limit', 'bytes count');
  t.equal(refusal(GOOD, { payloadBytes: 0 }), 'limit');
  const everything = { ...FORMAT_LIMITS, records: 1_000_000 };
  t.equal(refusal(encodeCbor(BODY.with(7, Array(33_400).fill(RECORD))), everything), 'limit', 'items');
});

/** A frame around a body of this size, nearly all of it one payload of zeros. */
function expanding(bytes: number): Uint8Array {
  const body = encodeBody(envelopeOf(decodeBody(GOOD, ENVELOPE_LIMITS)));
  const payload = Buffer.alloc(bytes - body.length);
  return writePlainFrame(compress(Buffer.from(encodeCbor(BODY.with(7, [RECORD.with(4, payload)]))), 1), true);
}

t.test('a frame unpacks to what its size allows, and to the bound of a body (I10)', async (t) => {
  const mib = 1024 * 1024;
  const code = (frame: Uint8Array, limits: Partial<EnvelopeLimits> = {}): string => {
    try {
      decodeEnvelope(frame, { ...ENVELOPE_LIMITS, ...limits });
      return 'accepted';
    } catch (error) {
      return error instanceof Error && 'code' in error ? String(error.code) : String(error);
    }
  };
  t.equal(code(expanding(4 * mib - 100)), 'accepted', 'as large as any frame may become');
  t.equal(code(expanding(5 * mib)), 'limit', 'more than 256 times as large');
  t.equal(code(expanding(5 * mib), { expansion: 100_000 }), 'accepted');
  t.equal(code(expanding(2 * mib), { bodyBytes: mib }), 'limit');
  t.equal(code(writePlainFrame(GOOD, false), { bodyBytes: GOOD.length }), 'accepted');
  t.equal(code(writePlainFrame(GOOD, false), { bodyBytes: GOOD.length - 1 }), 'limit');

  const packed = compress(GOOD, 1);
  t.equal(code(writePlainFrame(packed, true)), 'accepted');
  t.equal(code(writePlainFrame(Buffer.concat([packed, packed]), true)), 'compression', 'two frames');
  t.equal(code(writePlainFrame(Buffer.concat([packed, Buffer.of(1)]), true)), 'compression', 'a byte behind');
  const skippable = Buffer.from('502a4d1804000000aabbccdd', 'hex');
  t.equal(code(writePlainFrame(Buffer.concat([skippable, packed]), true)), 'compression', 'a frame to skip');
  t.equal(code(writePlainFrame(withoutSize(GOOD, 0x50), true)), 'accepted', 'a size that is not announced');
  t.equal(code(writePlainFrame(withoutSize(GOOD, 0x88), true)), 'limit', 'a window of 128 MiB');
  t.equal(code(writePlainFrame(withoutSize(Buffer.alloc(2 * mib), 0x50), true), { bodyBytes: mib }), 'limit');
});

/** A zstd frame of raw blocks that announces a window and no size (RFC 8878, 3.1.1.1). */
function withoutSize(content: Buffer, window: number): Buffer {
  const parts: Buffer[] = [Buffer.from('28b52ffd00', 'hex'), Buffer.of(window)];
  for (let at = 0; at < content.length; at += 131_072) {
    const block = content.subarray(at, at + 131_072);
    const head = Buffer.alloc(3);
    head.writeUIntLE(block.length * 8 + (at + block.length === content.length ? 1 : 0), 0, 3);
    parts.push(head, block);
  }
  return Buffer.concat(parts);
}
