/** Compares the envelope with plain JSON, and with JSON and gzip; tells the cost of signature and seal. */
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type Entropy, seededEntropy, systemEntropy } from '../shared/entropy.ts';
import { decodeEnvelope, encodeEnvelope } from '../shared/envelope/codec.ts';
import type { Envelope } from '../shared/envelope/envelope.ts';
import { openFrame } from '../shared/envelope/frame.ts';
import type { TelemetryRecord } from '../shared/record.ts';
import { openerWith, sealContent } from '../shared/sealing/content.ts';
import { newSealKey } from '../shared/sealing/seal-key.ts';
import { openSession } from '../shared/sealing/session.ts';
import { envelopeSigner, isSignedBy } from '../shared/signing/envelope-signature.ts';
import { signerOf } from '../shared/signing/signature.ts';
import { type Bench, compare, type Measured, rounded } from './measure.ts';

const COUNTS = [1, 10, 100, 1000] as const;
/** Records in a signed envelope: the last is usual for a busy stream. */
const SIGNED_COUNTS = [1, 200] as const;
const RUNS = 5000;
const DEVICES = 20;

export const bench: Bench = {
  name: 'envelope',
  summary: 'readings of about 100 bytes of JSON: envelope, JSON, JSON with gzip',
  run,
};

async function run(): Promise<Measured> {
  const rows: Array<Record<string, string | number>> = [];
  const figures: Record<string, number> = {};
  for (const count of COUNTS) {
    const envelope = envelopeOf(count);
    const encoded = encodeEnvelope(envelope);
    const json = toJson(envelope);
    const gzip = gzipSync(json);
    const encode = compare({
      envelope: { operations: count, run: () => encodeEnvelope(envelope) },
      json: { operations: count, run: () => Buffer.from(toJson(envelope)) },
      gzip: { operations: count, run: () => gzipSync(toJson(envelope)) },
    });
    const decode = compare({
      envelope: { operations: count, run: () => decodeEnvelope(encoded) },
      json: { operations: count, run: () => fromJson(json) },
      gzip: { operations: count, run: () => fromJson(gunzipSync(gzip).toString()) },
    });
    const bytes = { envelope: encoded.length, json: Buffer.byteLength(json), gzip: gzip.length };
    rows.push(
      row(count, 'bytes', bytes, count),
      row(count, 'encode µs', encode, 1000),
      row(count, 'decode µs', decode, 1000),
    );
    figures[`bytes_per_record_${count}`] = rounded(bytes.envelope / count);
    figures[`vs_json_${count}`] = rounded(bytes.envelope / bytes.json);
    figures[`vs_json_gzip_${count}`] = rounded(bytes.envelope / bytes.gzip);
    figures[`encode_us_per_record_${count}`] = rounded(encode.envelope / 1000);
    figures[`decode_us_per_record_${count}`] = rounded(decode.envelope / 1000);
    figures[`encode_vs_json_gzip_${count}`] = rounded(encode.envelope / encode.gzip);
    figures[`decode_vs_json_gzip_${count}`] = rounded(decode.envelope / decode.gzip);
  }
  for (const count of SIGNED_COUNTS) await signing(count, rows, figures);
  for (const count of SIGNED_COUNTS) await sealing(count, rows, figures);
  return { rows, figures };
}

/**
 * Signing: an encoding with a signature minus one without; verifying: with the hop to libuv's pool. The
 * fastest of many runs: they are shorter than a turn of the scheduler, so other programs can only add.
 */
async function signing(
  count: number,
  rows: Array<Record<string, string | number>>,
  figures: Record<string, number>,
): Promise<void> {
  const envelope = envelopeOf(count);
  const keys = generateKeyPairSync('ed25519');
  const signer = envelopeSigner(signerOf(keys.privateKey));
  const bytes = encodeEnvelope(envelope, signer);
  const verify = async (): Promise<void> => {
    if (!(await isSignedBy(keys.publicKey, openFrame(bytes)))) throw new Error('not verified');
  };
  const plainUs = await fastestUs(() => encodeEnvelope(envelope));
  const signUs = (await fastestUs(() => encodeEnvelope(envelope, signer))) - plainUs;
  const verifyUs = await fastestUs(verify);
  rows.push(
    { records: count, 'per record': 'sign µs', envelope: rounded(signUs / count) },
    { records: count, 'per record': 'verify µs', envelope: rounded(verifyUs / count) },
  );
  figures[`signature_bytes_${count}`] = bytes.length - encodeEnvelope(envelope).length;
  figures[`sign_us_per_envelope_${count}`] = rounded(signUs);
  figures[`sign_us_per_record_${count}`] = rounded(signUs / count);
  figures[`verify_us_per_envelope_${count}`] = rounded(verifyUs);
}

/**
 * Sealing for one recipient: an encoding with signature and seal minus one with the signature; opening: the
 * content under its key. The ratios are to the signature's and the verification's time in the same run.
 */
async function sealing(
  count: number,
  rows: Array<Record<string, string | number>>,
  figures: Record<string, number>,
): Promise<void> {
  const envelope = envelopeOf(count);
  const signer = envelopeSigner(signerOf(generateKeyPairSync('ed25519').privateKey));
  const router = createPublicKey(newSealKey(systemEntropy));
  const session = await openSession([router], { gateway: envelope.gateway, entropy: systemEntropy });
  const bytes = encodeEnvelope(envelope, signer, session);
  const signedUs = await fastestUs(() => encodeEnvelope(envelope, signer));
  const sealUs = (await fastestUs(() => encodeEnvelope(envelope, signer, session))) - signedUs;
  const [key, head] = [randomBytes(32), randomBytes(150)];
  const content = sealContent(key, randomBytes(12), head, randomBytes(bytes.length));
  const open = openerWith(key);
  const openUs = await fastestUs(() => open(head, content));
  rows.push(
    { records: count, 'per record': 'seal µs', envelope: rounded(sealUs / count) },
    { records: count, 'per record': 'open µs', envelope: rounded(openUs / count) },
  );
  figures[`seal_bytes_${count}`] = bytes.length - encodeEnvelope(envelope, signer).length;
  figures[`seal_us_per_envelope_${count}`] = rounded(sealUs);
  figures[`seal_us_per_record_${count}`] = rounded(sealUs / count);
  figures[`open_us_per_envelope_${count}`] = rounded(openUs);
  figures[`seal_vs_sign_${count}`] = rounded(
    sealUs / (figures[`sign_us_per_envelope_${count}`] ?? Number.NaN),
  );
  figures[`open_vs_verify_${count}`] = rounded(
    openUs / (figures[`verify_us_per_envelope_${count}`] ?? Number.NaN),
  );
}

/** Microseconds of the fastest of many runs. */
export async function fastestUs(run: () => unknown, runs = RUNS): Promise<number> {
  let fastestNs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i += 1) {
    const startedNs = process.hrtime.bigint();
    await run();
    fastestNs = Math.min(fastestNs, Number(process.hrtime.bigint() - startedNs));
  }
  return fastestNs / 1000;
}

type Formats = Record<'envelope' | 'json' | 'gzip', number>;

/** One line of the table; divided by `by`, the values are per record. */
function row(count: number, what: string, { envelope, json, gzip }: Formats, by: number) {
  return {
    records: count,
    'per record': what,
    envelope: rounded(envelope / by),
    JSON: rounded(json / by),
    'JSON+gzip': rounded(gzip / by),
    'vs JSON': rounded(envelope / json),
    'vs JSON+gzip': rounded(envelope / gzip),
  };
}

/** Readings of pumps, by so many devices in turn. */
export function envelopeOf(count: number, devices = DEVICES): Envelope {
  const entropy = seededEntropy(3);
  return {
    gateway: 'gw-0042',
    epoch: '3-9f3a61c2',
    stream: 'telemetry',
    clock: {
      bootId: '5f0c9e0a-6d3e-4a53-9a2c-3f1b6f0d7c11',
      offsetMs: 1_790_000_000_000,
      quality: 'synchronised',
    },
    lane: 'live',
    records: Array.from({ length: count }, (_, i) => recordOf(i, devices, entropy)),
    gaps: [],
    sealedAt: null,
  };
}

/** A reading as a pump's controller would publish it, with as many digits as its sensors have. */
function recordOf(i: number, devices: number, entropy: Entropy): TelemetryRecord {
  const device = `pump-${String(i % devices).padStart(2, '0')}`;
  const between = (low: number, high: number, digits: number): number =>
    Number((low + entropy.float() * (high - low)).toFixed(digits));
  const reading = {
    device,
    ts: 1_790_000_005_000 + i * 50,
    bar: between(3.8, 4.6, 2),
    temp: between(58, 66, 1),
    rpm: between(1440, 1460, 0),
    amps: between(11, 14, 2),
    state: entropy.float() < 0.95 ? 'running' : 'idle',
  };
  return {
    seq: 100_000 + i,
    monoMs: 5_000_000 + i * 50 + Math.floor(entropy.float() * 10),
    device,
    topic: `plant/line-2/${device}/state`,
    payload: Buffer.from(JSON.stringify(reading)),
  };
}

/** The same fields, with the payload as text. */
function toJson({ records, ...header }: Envelope): string {
  return JSON.stringify({
    ...header,
    records: records.map((record) => ({ ...record, payload: Buffer.from(record.payload).toString() })),
  });
}

/** The same result as decoding an envelope: records with their payloads as bytes. */
function fromJson(json: string): unknown {
  const envelope = JSON.parse(json) as { records: Array<{ payload: string }> };
  return {
    ...envelope,
    records: envelope.records.map((record) => ({ ...record, payload: Buffer.from(record.payload) })),
  };
}
