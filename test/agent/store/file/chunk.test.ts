import { strict as assert } from 'node:assert';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import {
  ChunkDamage,
  type ChunkId,
  type ChunkRecord,
  decodeChunk,
  encodeChunk,
} from '../../../../agent/store/file/chunk.ts';

const ID: ChunkId = { epoch: '1-a', stream: 'telemetry', first: 7 };

const record: fc.Arbitrary<ChunkRecord> = fc.record({
  device: fc.string({ maxLength: 20 }),
  topic: fc.string({ unit: 'binary', maxLength: 60 }),
  monoMs: fc.nat(2 ** 40),
  payload: fc.uint8Array({ maxLength: 300 }),
});

function plain(records: readonly ChunkRecord[]): unknown[] {
  return records.map(({ payload, ...rest }) => ({ ...rest, payload: Buffer.from(payload).toString('hex') }));
}

/** `count` readings as devices send them. */
function readings(count: number): ChunkRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    device: `pump-${i % 7}`,
    topic: `plant/7/pump-${i % 7}/state`,
    monoMs: 1_000_000 + i * 5,
    payload: Buffer.from(`{"t":${1_700_000_000 + i},"flow":${(i * 37) % 1000},"ok":true}`),
  }));
}

t.test('what goes in comes out', async () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 40 }), (records) => {
      const whole = records.filter(({ topic, device }) => isText(topic) && isText(device));
      assert.deepEqual(plain(decodeChunk(encodeChunk(whole, ID), ID)), plain(whole));
    }),
  );
});

/** Lone surrogates have no UTF-8; MQTT has no such text [MQTT-1.5.3-1]. */
function isText(text: string): boolean {
  return Buffer.from(text).toString() === text;
}

t.test('every cut and every flipped bit is found', async (t) => {
  for (const body of [encodeChunk(readings(3), ID), encodeChunk(readings(40), ID)]) {
    for (let length = 0; length < body.length; length++) {
      assert.throws(() => decodeChunk(body.subarray(0, length), ID), ChunkDamage, `cut at ${length}`);
    }
    for (let bit = 0; bit < body.length * 8; bit++) {
      const torn = Buffer.from(body);
      torn.writeUInt8((torn[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      assert.throws(() => decodeChunk(torn, ID), ChunkDamage, `bit ${bit}`);
    }
    t.pass(`${body.length} bytes`);
  }
});

t.test('a whole body under another id is found (I2)', async (t) => {
  const body = encodeChunk(readings(3), ID);
  for (const other of [{ epoch: '2-a' }, { stream: 'alarm' }, { first: 8 }])
    t.throws(() => decodeChunk(body, { ...ID, ...other }), ChunkDamage);
});

t.test('a chunk of format 1 is read: its checksum knows no id', async (t) => {
  const body = Buffer.from(encodeChunk(readings(3), ID));
  body[0] = 1;
  body.writeUInt32LE(crc32(body.subarray(6), crc32(body.subarray(0, 2))), 2);
  t.same(plain(decodeChunk(body, { ...ID, first: 8 })), plain(readings(3)));
});

t.test('arbitrary bytes are damage, never anything else', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.throws(() => decodeChunk(bytes, ID), ChunkDamage);
    }),
  );
});

t.test('readings that resemble each other shrink; a single one has little beside itself', async (t) => {
  const payload = readings(200).reduce((sum, { payload }) => sum + payload.byteLength, 0);
  const many = encodeChunk(readings(200), ID).length;
  t.ok(many < payload / 2, `${many} bytes for ${payload} of payload`);
  const [one] = readings(1);
  t.ok(one && encodeChunk([one], ID).length < one.payload.byteLength + 60);
});
