/** Decoding in threads: order within a lane, turns between lanes, threads that hang or end. */
import t, { type Test } from 'tap';
import { DecodeMeter } from '../../../router/ingest/decode-meter.ts';
import { DecodePool, type DecodePoolOptions } from '../../../router/ingest/decode-pool.ts';
import type { Decoded } from '../../../router/ingest/decoder.ts';
import { systemClock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { FORMAT_LIMITS } from '../../../shared/envelope/limits.ts';
import { createLogger } from '../../../shared/log.ts';
import { ManualClock } from '../../manual-clock.ts';
import { asTimePasses } from '../../until.ts';
import { envelope, seqs } from '../ledger/envelopes.ts';

async function started(t: Test, options: Partial<DecodePoolOptions> = {}) {
  const lines: string[] = [];
  const log = createLogger({ level: 'warn', levels: {} }, { write: (line) => void lines.push(line) });
  const meter = new DecodeMeter();
  const pool = new DecodePool({ clock: systemClock, log, meter, threads: 2, ...options });
  t.teardown(() => pool.stop());
  await pool.start();
  return { pool, meter, lines };
}

/** Not small, by its records. */
function large(gateway: string, first = 1): Envelope {
  return envelope({ gateway, seqs: seqs(first, first + 1499) });
}

function small(gateway: string, seq: number): Envelope {
  return envelope({ gateway, seqs: [seq] });
}

/** Decodes all at once; the labels in the order of completion, and what came out. */
async function decodeAll(
  pool: DecodePool,
  messages: ReadonlyArray<[lane: string, label: string, bytes: Uint8Array]>,
): Promise<Array<[label: string, decoded: Decoded]>> {
  const done: Array<[string, Decoded]> = [];
  await Promise.all(
    messages.map(([lane, label, bytes]) =>
      pool.decode({ lane, bytes, gateway: lane }, async (decoded) => {
        done.push([label, decoded]);
      }),
    ),
  );
  return done;
}

function decodeOne(pool: DecodePool, lane: string, bytes: Uint8Array): Promise<Decoded> {
  return pool.decode({ lane, bytes, gateway: lane }, (decoded) => Promise.resolve(decoded));
}

/** A body of nearly 4 MiB in about 200 bytes, or of 60 MiB in two kilobytes: one payload of zeros. */
function bomb(gateway: string, payloadBytes: number): Uint8Array {
  const [record] = envelope({ seqs: [1] }).records;
  if (record === undefined) throw new Error('no record');
  const records = [{ ...record, payload: Buffer.alloc(payloadBytes) }];
  return encodeEnvelope({ ...envelope({ gateway }), records });
}

t.test('an envelope from a thread is the one that was sent', async (t) => {
  const { pool, meter } = await started(t);
  const sent = {
    ...large('gw-1'),
    gaps: [{ first: 5000, last: 5001, reason: 'age' as const }],
    sealedAt: 5001,
  };
  const decoded = await decodeOne(pool, 'gw-1', encodeEnvelope(sent));
  t.strictSame(plain(decoded), plain(sent));
  const random = seededEntropy(5).bytes(90_000);
  const [record] = envelope({ seqs: [7] }).records;
  const single = { ...envelope({}), records: record === undefined ? [] : [{ ...record, payload: random }] };
  const alone = await decodeOne(pool, 'gw-1', encodeEnvelope(single));
  t.strictSame(plain(alone), plain(single), 'also where the body is not compressed');
  t.match(meter.places(), [
    ['loop', { messages: 1 }],
    ['thread', { messages: 2 }],
  ]);
  t.match(meter.heaviest(5), [['gw-1', { messages: 3 }]], 'the loop looked at the smaller message first');
});

function plain(decoded: Decoded): unknown {
  if (decoded === 'later' || 'reason' in decoded) return decoded;
  const records = decoded.records.map((one) => ({
    ...one,
    payload: Buffer.from(one.payload).toString('hex'),
  }));
  return { ...decoded, records };
}

t.test('a lane keeps its order, small behind large; other lanes go on', async (t) => {
  const { pool } = await started(t, { threads: 1 });
  const done = await decodeAll(pool, [
    ['a', 'a1 large', encodeEnvelope(large('a'))],
    ['a', 'a2 small', encodeEnvelope(small('a', 2000))],
    ['a', 'a3 large', encodeEnvelope(large('a', 3000))],
    ['a', 'a4 no envelope', Buffer.from('hello, world')],
    ['b', 'b1 small', encodeEnvelope(small('b', 1))],
  ]);
  t.strictSame(
    done.map(([label]) => label),
    ['b1 small', 'a1 large', 'a2 small', 'a3 large', 'a4 no envelope'],
  );
  t.match(done.at(-1), ['a4 no envelope', { reason: 'magic' }]);
  t.equal(pool.waitingBytes, 0);
});

t.test('a lane rests after a costly envelope while others are about, and alone it does not', async (t) => {
  const clock = new ManualClock();
  const { pool } = await started(t, { threads: 1, clock });
  const bombs = [1, 2].map((i): [string, string, Uint8Array] => ['bad', `bomb ${i}`, bomb('bad', 4_000_000)]);
  t.equal((await decodeAll(pool, bombs)).length, 2, 'alone, with the clock stopped');
  await decodeOne(pool, 'good', encodeEnvelope(small('good', 1)));
  let done = 0;
  const both = bombs.map(([lane, , bytes]) =>
    pool.decode({ lane, bytes, gateway: lane }, async () => {
      done += 1;
    }),
  );
  await Promise.race(both);
  await decodeOne(pool, 'other', encodeEnvelope(large('other')));
  t.equal(done, 1, 'the other gateway’s came later, and had the thread first');
  await asTimePasses(clock, 10, 'the second bomb is done', () => done === 2);
});

t.test('eight bombs of one gateway delay another gateway by one of them at most', async (t) => {
  const { pool, meter } = await started(t, { threads: 1 });
  const bombs = seqs(1, 8).map((i): [string, string, Uint8Array] => [
    'bad',
    `bomb ${i}`,
    bomb('bad', 4_000_000),
  ]);
  for (const [, , bytes] of bombs) t.ok(bytes.length < 2048, `${bytes.length} bytes`);
  const done = await decodeAll(pool, [
    ...bombs,
    ['good', 'large', encodeEnvelope(large('good'))],
    ['other', 'large too', encodeEnvelope(large('other'))],
    ['third', 'small alone', encodeEnvelope(small('third', 1))],
  ]);
  const order = done.map(([label]) => label);
  t.strictSame(order.slice(0, 2), ['small alone', 'bomb 1']);
  t.ok(order.indexOf('large') < order.indexOf('bomb 2'), order.join(', '));
  t.ok(order.indexOf('large too') < order.indexOf('bomb 3'), 'and the third lane has its turn');
  t.strictSame(
    order.slice(-5),
    seqs(4, 8).map((i) => `bomb ${i}`),
  );
  const far = await decodeAll(pool, [['bad', 'far', bomb('bad', 60_000_000)]]);
  t.match(far, [['far', { reason: 'limit' }]], 'a larger one is not unpacked');
  const costs = new Map(meter.heaviest(9));
  t.equal(
    costs.get('bad')?.messages,
    18,
    'eight of them, and the larger one, were refused on the loop first',
  );
  t.equal(costs.get('third')?.messages, 1);
});

t.test('a thread that hangs is replaced; the message is left, and refused at the second time', async (t) => {
  const clock = new ManualClock();
  const { pool, lines } = await started(t, { clock, threads: 1 });
  const bytes = encodeEnvelope(large('a'));
  for (const expected of ['later', { reason: 'internal', detail: /2 times/ }]) {
    const waiting = decodeAll(pool, [['a', 'slow', bytes]]);
    await Promise.resolve();
    // The thread's answer needs a turn of the loop: the time is over before.
    clock.advance(60_000);
    t.match(await waiting, [['slow', expected]]);
    const other = encodeEnvelope(large('b'));
    t.match(await decodeOne(pool, 'b', other), { gateway: 'b' }, 'a new thread decodes');
  }
  t.equal(pool.lost, 2);
  t.match(lines, [/ingest.decode_thread_lost/]);
});

t.test('a thread that runs out of memory takes nothing with it', async (t) => {
  const heap = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 };
  const limits = { ...FORMAT_LIMITS, textBytes: 65_535 };
  const { pool } = await started(t, { threads: 1, heap, limits });
  const base = envelope({ seqs: seqs(1, 30_000) });
  const records = base.records.map((one) => ({ ...one, topic: `${one.seq}/${'t'.repeat(1500)}` }));
  const bytes = encodeEnvelope({ ...base, records });
  const first = await decodeAll(pool, [
    ['a', 'many words', bytes],
    ['b', 'small', encodeEnvelope(small('b', 1))],
  ]);
  t.match(first, [
    ['small', { gateway: 'b' }],
    ['many words', 'later'],
  ]);
  t.match(await decodeAll(pool, [['a', 'again', bytes]]), [['again', { reason: 'internal' }]]);
  t.match(await decodeAll(pool, [['a', 'good', encodeEnvelope(large('a'))]]), [['good', { gateway: 'a' }]]);
});

t.test('what waits is bounded in bytes, by lane and in total (I10)', async (t) => {
  const { pool, lines } = await started(t, { threads: 1, limits: FORMAT_LIMITS });
  const message = (lane: string): [string, string, Uint8Array] => [lane, lane, noise()];
  const one = await decodeAll(
    pool,
    [1, 2, 3, 4, 5].map(() => message('a')),
  );
  const outcomes = one.map(([, decoded]) => decoded);
  t.equal(outcomes.filter((decoded) => decoded === 'later').length, 2, 'three of 10 MB wait in one lane');
  const all = await decodeAll(pool, ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map(message));
  t.equal(all.filter(([, decoded]) => decoded === 'later').length, 2, 'six of 10 MB wait in total');
  t.match(lines[0], /ingest.decode_overloaded/);
  t.equal(pool.waitingBytes, 0);
});

function noise(): Uint8Array {
  return Buffer.alloc(10_000_000, 'HG');
}

t.test('at the end what waits is left for redelivery', async (t) => {
  const { pool } = await started(t, { threads: 1 });
  const bytes = encodeEnvelope(large('a'));
  const waiting = decodeAll(pool, [
    ['a', 'in hand', bytes],
    ['a', 'behind it', bytes],
    ['b', 'without a thread', bytes],
  ]);
  await pool.drain();
  t.match(
    new Map(await waiting),
    new Map<string, unknown>([
      ['behind it', 'later'],
      ['in hand', { gateway: 'a' }],
      ['without a thread', { gateway: 'a' }],
    ]),
  );
  await pool.stop();
  t.match(await decodeAll(pool, [['a', 'late', bytes]]), [['late', 'later']]);
});
