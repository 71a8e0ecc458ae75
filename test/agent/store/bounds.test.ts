/** The rule by which a full buffer gives up records, and a gap for each given-up range (I3, I10). */

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import { decodeRecords, decodeState } from '../../../agent/store/decode.ts';
import { type Holding, nextVictim, type StreamLimits } from '../../../agent/store/limits.ts';
import { BufferDatabase } from '../../../agent/store/thread/database.ts';
import { testDir } from '../../test-dir.ts';
import { bufferFile, columnsOf, contents, noise, record, storeOn } from './fixture.ts';

const CLOCK = { bootId: 'boot-1', offsetMs: 0, quality: 'unsynchronised' } as const;

function limits(overrides: Partial<StreamLimits> = {}): StreamLimits {
  return {
    durability: { kind: 'fsync' },
    priority: 5,
    maxBytes: null,
    maxAgeMs: null,
    whenFull: 'evict',
    ...overrides,
  };
}

t.test('the next to give up: lowest priority, then oldest, never one that refuses', async (t) => {
  const holding = (priority: number, epochNumber: number, oldestMonoMs: number, own = {}): Holding => ({
    limits: limits({ priority, ...own }),
    epochNumber,
    oldestMonoMs,
  });
  const refusing = holding(0, 1, 1, { whenFull: 'reject' });
  const low = holding(1, 9, 900);
  const older = holding(5, 2, 800);
  const newer = holding(5, 2, 801);
  t.equal(nextVictim([newer, refusing, low, older]), low);
  t.equal(nextVictim([newer, refusing, older]), older);
  t.equal(
    nextVictim([refusing, holding(5, 3, 1), newer]),
    newer,
    'an earlier epoch is older, whatever its clock',
  );
  t.equal(nextVictim([refusing]), null);
});

type Step = { stream: 'low' | 'high' | 'kept'; records: number; accept: boolean };

const step: fc.Arbitrary<Step> = fc.record({
  stream: fc.constantFrom('low', 'high', 'kept'),
  records: fc.integer({ min: 1, max: 12 }),
  accept: fc.boolean(),
});

t.test(
  'every record is pending, delivered or in a gap; the bound holds; who refuses keeps all (I3)',
  async (t) => {
    const maxBytes = 2 ** 20;
    const streams = {
      low: limits({ priority: 1, maxBytes: 100_000 }),
      high: limits({ priority: 7 }),
      kept: limits({ priority: 0, whenFull: 'reject' }),
    };
    const directory = testDir(t);
    let runs = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
        runs += 1;
        const file = `${bufferFile(directory)}-${runs}`;
        const buffer = new BufferDatabase(file, 'aaaaaaaa', CLOCK, { maxBytes, streams });
        const given = new Map<string, number>();
        const delivered = new Map<string, Set<number>>();
        for (const { stream, records, accept } of steps) {
          if (stream === 'kept' && (given.get('kept') ?? 0) > 30) continue;
          const rows = Array.from({ length: records }, () => record(noise(3000), stream));
          const operations = accept
            ? [
                {
                  kind: 'accept' as const,
                  epoch: buffer.epoch,
                  stream,
                  provider: 'aws',
                  first: 1,
                  last: 3,
                  copies: 1,
                },
              ]
            : [];
          const before = pendingOf(buffer, stream);
          const result = buffer.commit(columnsOf(rows), operations);
          const was = given.get(stream) ?? 0;
          given.set(stream, was + records);
          const own = delivered.get(stream) ?? new Set<number>();
          delivered.set(stream, own);
          if (accept)
            for (const seq of [1, 2, 3])
              if (before.has(seq) || (seq > was && seq <= was + records)) own.add(seq);
          assert(result.room.usedBytes <= maxBytes, `${result.room.usedBytes} bytes used`);
          assert((Number(result.room.streamBytes['low']) || 0) <= 100_000);
        }
        for (const { stream, pending, gaps } of buffer.opened().streams.map(decodeState)) {
          const gapped = new Set(gaps.flatMap(({ first, last }) => range(first, last)));
          for (const seq of range(1, given.get(stream) ?? 0)) {
            const places = [pending.has(seq), gapped.has(seq)].filter(Boolean).length;
            assert(places === 1 || (places === 0 && delivered.get(stream)?.has(seq)), `${stream} ${seq}`);
          }
          if (stream === 'kept') assert.equal(gaps.length, 0);
          assert(gaps.length <= 3, 'neighbours are one gap');
          const read = buffer.read({ epoch: buffer.epoch, stream, first: 1, last: 1e9, maxBytes: 1e9 });
          assert.equal(decodeRecords(read).length, pending.size);
        }
        buffer.close();
      }),
      { numRuns: 25 },
    );
  },
);

function pendingOf(buffer: BufferDatabase, stream: string): Set<number> {
  const state = buffer
    .opened()
    .streams.map(decodeState)
    .find((one) => one.stream === stream);
  return new Set([...(state?.pending.ranges() ?? [])].flatMap(({ first, last }) => range(first, last)));
}

function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}

t.test('a full buffer gives up the lowest priority first, says so, and never for a lower one', async (t) => {
  const streams = { low: limits({ priority: 1 }), high: limits({ priority: 7 }) };
  const { store, lines } = storeOn(bufferFile(testDir(t)), { limits: { maxBytes: 2 ** 20, streams } });
  const gaps: Array<{ stream: string; first: number; last: number; reason: string }> = [];
  store.onGaps((given) => gaps.push(...given));
  await store.start();
  const fill = async (stream: string, count: number): Promise<number> => {
    let taken = 0;
    for (let i = 0; i < count; i++) {
      await store.append(record(noise(4000), stream)).then(
        () => taken++,
        (error: unknown) => t.match(error, { code: 'full' }),
      );
    }
    return taken;
  };
  t.equal(await fill('low', 100), 100);
  t.equal(await fill('high', 300), 300, 'as long as there is something of lower or the same priority');
  t.equal((await contents(store, store.epoch, 'low')).size, 0, 'what has the lowest priority went first');
  const kept = await contents(store, store.epoch, 'high');
  t.ok(kept.size > 100 && Math.min(...kept.keys()) === 300 - kept.size + 1, 'then the oldest');
  const late = await fill('low', 50);
  t.same(
    await contents(store, store.epoch, 'high'),
    kept,
    'a record never pushes out one of higher priority',
  );
  const given = gaps.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  const lowLeft = (await contents(store, store.epoch, 'low')).size;
  t.equal(given, 400 + late - kept.size - lowLeft, 'each record that went is in a gap');
  t.same(new Set(gaps.map(({ reason }) => reason)), new Set(['quota']));
  t.match(store.evicted, [
    { stream: 'low', reason: 'quota', records: 100 + late - lowLeft },
    { stream: 'high', reason: 'quota', records: 300 - kept.size },
  ]);
  t.match(
    lines.filter(({ event }) => event === 'store.given_up'),
    [{ stream: 'low', reason: 'quota' }],
  );
  await store.stop();
});

t.test(
  'too old is told by monotonic time; of an earlier boot at least as old as this one (I7)',
  async (t) => {
    const file = bufferFile(testDir(t));
    const streams = { telemetry: limits({ maxAgeMs: 10_000 }) };
    const aged = { maxBytes: 2 ** 30, streams };
    const first = new BufferDatabase(file, 'aaaaaaaa', CLOCK, aged);
    for (const monoMs of [1000, 5000, 9000]) {
      first.commit(columnsOf([{ ...record('x'), monoMs }]), []);
    }
    const expire = (buffer: BufferDatabase, monoMs: number, bootId = 'boot-1') =>
      buffer
        .commit(columnsOf([]), [{ kind: 'expire', bootId, monoMs }])
        .gaps.map(({ first, last }) => [first, last]);
    t.same(expire(first, 11_000), []);
    t.same(expire(first, 15_001), [[1, 2]]);
    first.close();

    const second = new BufferDatabase(file, 'bbbbbbbb', { ...CLOCK, bootId: 'boot-2' }, aged);
    t.same(expire(second, 9000, 'boot-2'), [], 'nobody knows how long the machine was off');
    t.same(expire(second, 10_001, 'boot-2'), [[3, 3]]);
    t.match(second.opened().streams, [{ gaps: [{ first: 1, last: 3, reason: 'age' }] }], 'one gap');
    second.close();
  },
);
