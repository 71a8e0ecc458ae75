/**
 * The cost of erasing one device by destroying a key: a data key for each device in place of one content key
 * for an envelope, and for each record in the ledger (docs/decisions/0019-sealed-envelopes.md).
 */
import { randomBytes } from 'node:crypto';
import { encodeEnvelope } from '../shared/envelope/codec.ts';
import type { Envelope } from '../shared/envelope/envelope.ts';
import { openFrame } from '../shared/envelope/frame.ts';
import { CONTENT_KEY_BYTES, NONCE_BYTES, TAG_BYTES } from '../shared/envelope/seal.ts';
import { sealContent } from '../shared/sealing/content.ts';
import { envelopeOf, fastestUs } from './envelope.ts';
import { type Bench, type Measured, rounded } from './measure.ts';

const SIZES = [
  { devices: 1, records: 200 },
  { devices: 20, records: 20 },
  { devices: 20, records: 200 },
  { devices: 100, records: 200 },
] as const;
const RUNS = 500;
/** Names the device's key. */
const KEY_ID_BYTES = 8;
/** The cost does not depend on which one. */
const KEY = randomBytes(CONTENT_KEY_BYTES);
/** Of a frame of version 1 before its content. */
const HEAD = Buffer.alloc(8);

export const bench: Bench = {
  name: 'erasure',
  summary: 'a data key for each device: bytes and CPU of envelopes, and of records in the ledger',
  run,
};

async function run(): Promise<Measured> {
  const rows: Array<Record<string, string | number>> = [];
  const figures: Record<string, number> = {};
  for (const { devices, records } of SIZES) {
    const envelope = envelopeOf(records, devices);
    const parts = byDevice(envelope);
    const wholeUs = await fastestUs(() => sealedBytes([envelope]), RUNS);
    const apartUs = await fastestUs(() => sealedBytes(parts), RUNS);
    const [whole, apart] = [sealedBytes([envelope]), sealedBytes(parts)];
    const bytes = rounded(apart / whole);
    const cpu = rounded(apartUs / wholeUs);
    rows.push({ devices, records, 'one seal, bytes': whole, 'by device, bytes': apart, bytes, CPU: cpu });
    figures[`bytes_${devices}_devices_${records}_records`] = bytes;
    figures[`cpu_${devices}_devices_${records}_records`] = cpu;
  }
  const { records } = envelopeOf(200, 20);
  const sealAll = () =>
    records.map(({ payload }) => sealContent(KEY, randomBytes(NONCE_BYTES), HEAD, payload));
  const recordUs = (await fastestUs(sealAll, RUNS)) / records.length;
  const plain = records.reduce((sum, { payload }) => sum + payload.byteLength, 0);
  const sealed = plain + records.length * (KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES);
  figures['ledger_payload_bytes'] = rounded(sealed / plain);
  figures['ledger_us_per_record'] = rounded(recordUs);
  rows.push({
    devices: 'ledger',
    records: 'each',
    'one seal, bytes': rounded(plain / records.length),
    'by device, bytes': rounded(sealed / records.length),
    bytes: rounded(sealed / plain),
    CPU: `${rounded(recordUs)} µs`,
  });
  return { rows, figures };
}

/** The parts of an envelope, each with the records of one device. What they share stands once. */
function byDevice(envelope: Envelope): Envelope[] {
  const parts = Map.groupBy(envelope.records, ({ device }) => device);
  if (parts.size === 1) return [envelope];
  const clock = { ...envelope.clock, bootId: 'b', offsetMs: 0 };
  const shared = { gateway: 'g', epoch: 'e', stream: 's', clock };
  return [...parts.values()].map((records) => ({ ...envelope, ...shared, records }));
}

/** Encodes and seals each part under its key; returns the bytes of all contents. */
function sealedBytes(parts: readonly Envelope[]): number {
  return parts.reduce((sum, part) => {
    const { content } = openFrame(encodeEnvelope(part));
    const sealed = sealContent(KEY, randomBytes(NONCE_BYTES), HEAD, content);
    return sum + KEY_ID_BYTES + sealed.length;
  }, 0);
}
