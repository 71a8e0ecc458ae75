import { deepStrictEqual } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { crc32, zstdCompressSync } from 'node:zlib';
import { encode as encodeCbor } from 'cborg';
import fc from 'fast-check';
import t from 'tap';
import { decodeBody } from '../../../shared/envelope/body-reader.ts';
import { decodeEnvelope, encodeEnvelope, envelopeProperties } from '../../../shared/envelope/codec.ts';
import { envelopeOf } from '../../../shared/envelope/columns.ts';
import { type Envelope, HEARTBEAT_STREAM } from '../../../shared/envelope/envelope.ts';
import { EnvelopeError } from '../../../shared/envelope/error.ts';
import { ENVELOPE_LIMITS } from '../../../shared/envelope/limits.ts';
import { GAP_REASONS } from '../../../shared/record.ts';
import { encodeBody } from './body.ts';

const name = fc.stringMatching(/^[a-z0-9_][a-z0-9_-]{0,20}$/);
const records = fc
  .array(
    fc.record({
      step: fc.integer({ min: 1, max: 1000 }),
      monoMs: fc.integer({ min: 0, max: 2 ** 45 }),
      device: fc.string({ maxLength: 12 }),
      topic: fc.string({ maxLength: 30, unit: 'binary' }),
      payload: fc.uint8Array({ maxLength: 300 }),
    }),
    { maxLength: 40 },
  )
  .map((rows) => {
    let seq = 0;
    return rows.map(({ step, ...rest }) => {
      seq += step;
      return { seq, ...rest };
    });
  });

const envelopes: fc.Arbitrary<Envelope> = fc
  .record({
    gateway: name,
    epoch: name,
    stream: name,
    clock: fc.record({
      bootId: fc.uuid(),
      offsetMs: fc.integer({ min: -(2 ** 45), max: 2 ** 45 }),
      quality: fc.constantFrom('synchronised' as const, 'unsynchronised' as const),
    }),
    lane: fc.constantFrom('live' as const, 'backlog' as const),
    records,
    sealedAt: fc.option(fc.nat(), { nil: null }),
    gapSteps: fc.array(fc.tuple(fc.integer({ min: 2, max: 50 }), fc.nat(50)), { maxLength: 4 }),
    reason: fc.constantFrom(...GAP_REASONS),
  })
  .map(({ gapSteps, reason, ...envelope }) => {
    let seq = envelope.records.at(-1)?.seq ?? 0;
    const gaps = gapSteps.map(([step, length]) => {
      const first = seq + step;
      seq = first + length;
      return { first, last: seq, reason };
    });
    return { ...envelope, gaps };
  });

t.test('what is encoded comes back, byte for byte', async () => {
  fc.assert(
    fc.property(envelopes, (envelope) => {
      const back = decodeEnvelope(encodeEnvelope(envelope));
      const plain = (e: Envelope): unknown =>
        JSON.parse(
          JSON.stringify({
            ...e,
            records: e.records.map((r) => ({ ...r, payload: Buffer.from(r.payload).toString('hex') })),
          }),
        );
      deepStrictEqual(plain(back), plain(envelope));
    }),
    { numRuns: 300 },
  );
});

t.test('a body that is decoded is encoded to the same bytes', async () => {
  fc.assert(
    fc.property(envelopes, (envelope) => {
      const body = encodeBody(envelope);
      const again = encodeBody(envelopeOf(decodeBody(body, ENVELOPE_LIMITS)));
      deepStrictEqual(again, body);
    }),
    { numRuns: 300 },
  );
});

t.test('the same envelope gives the same bytes (I11)', async () => {
  fc.assert(
    fc.property(envelopes, (envelope) => {
      const [a, b] = [encodeEnvelope(envelope), encodeEnvelope(structuredClone(envelope))];
      if (Buffer.compare(a, b) !== 0) throw new Error('differs');
    }),
  );
});

t.test('any flipped bit, truncation or extension is found', async () => {
  fc.assert(
    fc.property(envelopes, fc.nat(), fc.nat(7), fc.nat(), (envelope, at, bit, cut) => {
      const bytes = Buffer.from(encodeEnvelope(envelope));
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(at % bytes.length) ^ (1 << bit), at % bytes.length);
      for (const bad of [
        flipped,
        bytes.subarray(0, cut % bytes.length),
        Buffer.concat([bytes, Buffer.of(0)]),
      ]) {
        try {
          decodeEnvelope(bad);
        } catch (error) {
          if (error instanceof EnvelopeError) continue;
          throw error;
        }
        throw new Error('accepted');
      }
    }),
    { numRuns: 300 },
  );
});

/** An envelope-like frame with a right checksum and any body. */
function frame(body: Uint8Array, version = 1, flags = 0): Buffer {
  const head = Buffer.from([0x48, 0x47, version, flags]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body, crc32(head)));
  return Buffer.concat([head, sum, body]);
}

/** A few hundred bytes that unpack to a list of this many empty lists. */
function bomb(lists: number): Uint8Array {
  const body = Buffer.alloc(5 + lists, 0x80);
  body.writeUInt8(0x9a, 0);
  body.writeUInt32BE(lists, 1);
  return zstdCompressSync(body);
}

t.test('each check has its own code, and nothing unpacks without a bound (I10)', async (t) => {
  const ok: unknown[] = [
    'gw',
    '1-ab',
    's',
    ['boot', 0, 1],
    0,
    ['d'],
    ['t'],
    [[1, 5, 0, 0, Buffer.of(1)]],
    [],
    null,
  ];
  const cases: Array<[string, Uint8Array]> = [
    ['truncated', Buffer.from('HG')],
    ['magic', Buffer.from('not an envelope')],
    ['version', frame(encodeCbor(ok), 4)],
    ['flags', frame(encodeCbor(ok), 1, 2)],
    ['checksum', Buffer.concat([frame(encodeCbor(ok)), Buffer.of(1)])],
    ['compression', frame(encodeCbor(ok), 1, 1)],
    ['cbor', frame(Buffer.of(0xff))],
    ['limit', frame(bomb(200_000), 1, 1)],
    ['schema', frame(bomb(199_999), 1, 1)],
    ['schema', frame(encodeCbor({}))],
    ['schema', frame(encodeCbor(ok.with(3, ['b'.repeat(129), 0, 1])))],
    ['schema', frame(encodeCbor(ok.with(0, 'Not A Name')))],
    ['schema', frame(encodeCbor(ok.with(4, 7)))],
    ['schema', frame(encodeCbor(ok.with(7, [[0, 5, 0, 0, Buffer.of(1)]])))],
    ['schema', frame(encodeCbor(ok.with(7, [[1, 5, 1, 0, Buffer.of(1)]])))],
    ['schema', frame(encodeCbor(ok.with(7, [[1, 5, 0, 0, 'text']])))],
    ['schema', frame(encodeCbor(ok.with(8, [[1, 3, 0]])))],
    ['schema', frame(encodeCbor(ok.with(8, [[5, 3, 0]])))],
    ['schema', frame(encodeCbor(ok.with(9, -1)))],
  ];
  t.equal(decodeEnvelope(frame(encodeCbor(ok))).records.length, 1);
  for (const [code, bytes] of cases) t.throws(() => decodeEnvelope(bytes), { name: 'EnvelopeError', code });
});

t.test('properties repeat the ids', async (t) => {
  const clock = { bootId: 'b', offsetMs: 0, quality: 'synchronised' as const };
  const base = { gateway: 'gw', epoch: '1-ab', stream: 's', clock, lane: 'live' as const, sealedAt: null };
  const record = { monoMs: 1, device: 'd', topic: 't', payload: Buffer.of(1) };
  const envelope: Envelope = {
    ...base,
    records: [
      { ...record, seq: 5 },
      { ...record, seq: 9 },
    ],
    gaps: [{ first: 2, last: 3, reason: 'quota' }],
  };
  t.strictSame(envelopeProperties(envelope), {
    hg: '1',
    gw: 'gw',
    ep: '1-ab',
    st: 's',
    first: '2',
    last: '9',
    n: '2',
  });
  t.strictSame(envelopeProperties({ ...base, stream: HEARTBEAT_STREAM, records: [], gaps: [] }), {
    hg: '1',
    gw: 'gw',
    ep: '1-ab',
    st: HEARTBEAT_STREAM,
  });
  t.equal(envelopeProperties(envelope, 2).hg, '2');
  t.throws(() => encodeEnvelope({ ...envelope, records: envelope.records.toReversed() }), RangeError);
});

t.test('the published test vectors decode to what docs/reference/envelope.md says', async (t) => {
  const vectors = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8')) as Array<{
    title: string;
    hex: string;
    envelope: unknown;
  }>;
  t.ok(vectors.length >= 3);
  for (const { title, hex, envelope } of vectors) {
    const decoded = decodeEnvelope(Buffer.from(hex, 'hex'));
    const records = decoded.records.map((r) => ({ ...r, payload: Buffer.from(r.payload).toString('hex') }));
    t.strictSame({ ...decoded, records }, envelope, title);
  }
});
