import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { Outstanding } from '../../../../agent/forward/queue/outstanding.ts';
import { IntervalSet } from '../../../../shared/interval-set.ts';

const set = (...ranges: Array<[number, number]>): IntervalSet =>
  IntervalSet.of(ranges.map(([first, last]) => ({ first, last })));

t.test('by provider and age; a receipt takes out what it covers', async (t) => {
  const outstanding = new Outstanding();
  t.ok(outstanding.isEmpty);
  outstanding.acknowledged('aws', { first: 1, last: 10 }, 1000);
  outstanding.acknowledged('aws', { first: 11, last: 20 }, 5000);
  outstanding.acknowledged('gcp', { first: 5, last: 6 }, 3000);
  t.same(outstanding.oldest(), [
    { provider: 'aws', atMs: 1000 },
    { provider: 'gcp', atMs: 3000 },
  ]);
  outstanding.forget(set([1, 10]));
  t.same(outstanding.oldest(), [{ provider: 'aws', atMs: 5000 }]);
  outstanding.forget(set([1, 19]));
  t.notOk(outstanding.isEmpty);
  outstanding.forget(set([20, 20]));
  t.ok(outstanding.isEmpty);
});

t.test('what is overdue is handed out once, with everybody who acknowledged it', async (t) => {
  const outstanding = new Outstanding();
  outstanding.acknowledged('aws', { first: 1, last: 10 }, 1000);
  outstanding.acknowledged('gcp', { first: 8, last: 12 }, 2000);
  t.same(outstanding.takeOverdue(999), []);
  t.same(outstanding.takeOverdue(1000), [
    { provider: 'aws', ranges: [{ first: 1, last: 10 }] },
    { provider: 'gcp', ranges: [{ first: 8, last: 10 }] },
  ]);
  t.same(outstanding.takeOverdue(1000), []);
  t.same(outstanding.oldest(), [{ provider: 'gcp', atMs: 2000 }], 'what is not is left');
});

t.test('days without a receipt take a bounded memory, and forget no row (I10)', async (t) => {
  const outstanding = new Outstanding();
  for (let i = 0; i < 20_000; i++)
    outstanding.acknowledged('aws', { first: 2 * i + 1, last: 2 * i + 1 }, i * 1000);
  t.same(outstanding.oldest(), [{ provider: 'aws', atMs: 0 }], 'merged ones are as old as the oldest');
  const [all] = outstanding.takeOverdue(20_000 * 1000);
  t.equal(all?.ranges.length, 20_000);
});

t.test('agrees with a plain model: one entry per row and provider', async () => {
  const ROWS = 30;
  const range = fc.tuple(fc.integer({ min: 1, max: ROWS }), fc.integer({ min: 0, max: 6 }));
  const step = fc.oneof(
    fc.record({ kind: fc.constant('ack' as const), provider: fc.constantFrom('a', 'b'), range }),
    fc.record({ kind: fc.constant('cover' as const), range }),
    fc.record({ kind: fc.constant('overdue' as const), ageMs: fc.integer({ min: 0, max: 8000 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const outstanding = new Outstanding();
      const model = new Map<string, Map<number, number>>([
        ['a', new Map()],
        ['b', new Map()],
      ]);
      for (const [i, one] of steps.entries()) {
        const nowMs = i * 1000;
        if (one.kind === 'overdue') {
          const untilMs = nowMs - one.ageMs;
          const late = new Set<number>();
          for (const rows of model.values())
            for (const [row, atMs] of rows) if (atMs <= untilMs) late.add(row);
          const expected = [...model].map(([provider, rows]): [string, number[]] => [
            provider,
            [...rows.keys()].filter((row) => late.has(row)).sort((x, y) => x - y),
          ]);
          const got = outstanding.takeOverdue(untilMs);
          for (const [provider, rows] of expected) {
            const own = got.find((overdue) => overdue.provider === provider)?.ranges ?? [];
            assert.deepEqual(own.flatMap(listed), rows);
            for (const row of rows) model.get(provider)?.delete(row);
          }
          continue;
        }
        const [first, length] = one.range;
        const rows = { first, last: first + length };
        if (one.kind === 'ack') {
          outstanding.acknowledged(one.provider, rows, nowMs);
          const own = model.get(one.provider);
          for (const row of listed(rows)) if (!own?.has(row)) own?.set(row, nowMs);
        } else {
          outstanding.forget(set([rows.first, rows.last]));
          for (const own of model.values()) for (const row of listed(rows)) own.delete(row);
        }
      }
    }),
    { numRuns: 500 },
  );
});

function listed({ first, last }: { first: number; last: number }): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
