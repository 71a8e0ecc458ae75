import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import { Packer } from '../../../agent/forward/packer.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { decodeEnvelope } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { openFrame } from '../../../shared/envelope/frame.ts';
import type { TelemetryRecord } from '../../../shared/record.ts';
import { envelopeSigner } from '../../../shared/signing/envelope-signature.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { signerOf } from '../../../shared/signing/signature.ts';

const header: Omit<Envelope, 'records'> = {
  gateway: 'gw-1',
  epoch: '3-9f3a61c2',
  stream: 'telemetry',
  clock: {
    bootId: '5f0c9e0a-6d3e-4a53-9a2c-3f1b6f0d7c11',
    offsetMs: 1_790_000_000_000,
    quality: 'synchronised',
  },
  lane: 'backlog',
  gaps: [],
  sealedAt: null,
};

type PayloadOf = (seq: number) => Uint8Array;

function records(count: number, payloadOf: PayloadOf, from = 1): TelemetryRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    seq: from + i,
    monoMs: (from + i) * 5,
    device: `pump-${i % 20}`,
    topic: `plant/pump-${i % 20}/state`,
    payload: payloadOf(from + i),
  }));
}

const entropy = seededEntropy(7);
const noise: PayloadOf = () => entropy.bytes(60 + Math.floor(entropy.float() * 80));
const zeros: PayloadOf = () => new Uint8Array(100);
const reading: PayloadOf = (seq) => {
  const bar = Math.round(entropy.float() * 1000) / 100;
  const rpm = Math.floor(entropy.float() * 3000);
  return Buffer.from(JSON.stringify({ device: `pump-${seq % 20}`, n: seq, bar, rpm }));
};

/** Counts the encodings: each tries one prefix. */
class Counted extends Array<TelemetryRecord> {
  prefixes = 0;

  override slice(first?: number, end?: number): TelemetryRecord[] {
    this.prefixes += 1;
    return super.slice(first, end);
  }
}

t.test('an envelope fits its target or holds a single record, and its records are a prefix', async () => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.nat(400).map((length) => new Uint8Array(length)),
  );
  fc.assert(
    fc.property(
      fc.array(payload, { maxLength: 60, size: 'max' }),
      fc.array(fc.integer({ min: 1, max: 8000 }), { minLength: 1, maxLength: 5 }),
      (payloads, targets) => {
        const packer = new Packer();
        for (const target of targets) {
          const rows = records(payloads.length, (seq) => payloads[seq - 1] ?? new Uint8Array());
          const { bytes, envelope } = packer.pack(header, rows, target);
          const { length } = envelope.records;
          assert.deepEqual(envelope.records, rows.slice(0, length), 'a prefix');
          assert.ok(length > 0 || rows.length === 0, 'at least one');
          assert.ok(bytes.length <= target || length <= 1, `${bytes.length} of ${target} with ${length}`);
          assert.deepEqual(
            decodeEnvelope(bytes).records.map(({ seq }) => seq),
            envelope.records.map(({ seq }) => seq),
            'what it says is what it encoded',
          );
        }
      },
    ),
    { numRuns: 300 },
  );
});

t.test('the same records in the same order give the same envelopes (I11)', async (t) => {
  const rows = records(400, reading);
  const run = (): string[] => {
    const packer = new Packer();
    return [4000, 4000, 20_000].map((target) =>
      Buffer.from(packer.pack(header, rows, target).bytes).toString('hex'),
    );
  };
  t.strictSame(run(), run());
});

for (const [title, target, payloadOf] of [
  ['live readings', 4000, reading],
  ['a backlog of readings', 96 * 1024, reading],
  ['live, does not shrink', 4000, noise],
  ['a backlog that does not shrink', 96 * 1024, noise],
] as const) {
  t.test(`${title}: one encoding fills an envelope`, async (t) => {
    const packer = new Packer();
    const envelopes = 60;
    const warmUp = 20;
    let encodings = 0;
    let filled = 0;
    let seq = 1;
    for (let i = 0; i < envelopes; i++) {
      const want = packer.rawBytesFor(target);
      const rows = Counted.from(records(Math.ceil(want / 60), payloadOf, seq)) as Counted;
      const { bytes, envelope } = packer.pack(header, rows, target);
      seq += envelope.records.length;
      if (i < warmUp) continue;
      encodings += rows.prefixes;
      filled += bytes.length / target;
    }
    const measured = envelopes - warmUp;
    t.ok(encodings / measured < 1.1, `${encodings / measured} encodings for an envelope`);
    t.ok(filled / measured > 0.85, `filled to ${filled / measured}`);
  });
}

t.test('a record larger than the target travels alone', async (t) => {
  const packer = new Packer();
  const rows = records(3, () => entropy.bytes(9000));
  const { envelope, bytes } = packer.pack(header, rows, 4000);
  t.strictSame(
    envelope.records.map(({ seq }) => seq),
    [1],
  );
  t.ok(bytes.length > 9000);
});

t.test('nothing but a gap or the end of an epoch is an envelope too', async (t) => {
  const gaps = [{ first: 1, last: 9, reason: 'corruption' as const }];
  const { envelope, bytes } = new Packer().pack({ ...header, gaps, sealedAt: 9 }, [], 1);
  t.strictSame(decodeEnvelope(bytes), envelope);
});

t.test('records that shrink to nothing do not grow an envelope without bound (I10)', async (t) => {
  const packer = new Packer();
  for (let i = 0; i < 40; i++) packer.pack(header, records(200, zeros), 96 * 1024);
  t.equal(packer.rawBytesFor(96 * 1024), 1024 * 1024);
});

t.test('a signature counts: a signed envelope of one metering unit stays one', async (t) => {
  const signer = envelopeSigner(signerOf(newPrivateKey(seededEntropy(1))));
  const packer = new Packer();
  for (let i = 0; i < 40; i++) {
    const { bytes, envelope } = packer.pack(
      header,
      records(200, () => entropy.bytes(60)),
      4000,
      { signer, sealer: null },
    );
    t.ok(bytes.length <= 4000, `${bytes.length} bytes`);
    t.equal(openFrame(bytes).outer?.keyId, signer.keyId);
    t.strictSame(decodeEnvelope(bytes).records.length, envelope.records.length);
  }
});
