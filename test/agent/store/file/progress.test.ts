import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { accept, type Progress } from '../../../../agent/store/file/progress.ts';
import { IntervalSet } from '../../../../shared/interval-set.ts';

function progressOf(rows: number): Progress {
  return { pending: IntervalSet.of([{ first: 1, last: rows }]), accepted: new Map() };
}

t.test('one copy: the first acceptance frees, and leaves no progress behind', async (t) => {
  const progress = progressOf(10);
  t.same(accept(progress, 'aws', { first: 3, last: 5 }, 1), [{ first: 3, last: 5 }]);
  t.same(
    [...progress.pending.ranges()],
    [
      { first: 1, last: 2 },
      { first: 6, last: 10 },
    ],
  );
  t.equal(progress.accepted.size, 0);
  t.same(accept(progress, 'azure', { first: 1, last: 10 }, 1), [
    { first: 1, last: 2 },
    { first: 6, last: 10 },
  ]);
});

t.test('two copies: two different providers free, the same one twice does not (I3)', async (t) => {
  const progress = progressOf(10);
  t.same(accept(progress, 'aws', { first: 1, last: 6 }, 2), []);
  t.same(accept(progress, 'aws', { first: 1, last: 6 }, 2), []);
  t.same(accept(progress, 'gcp', { first: 4, last: 8 }, 2), [{ first: 4, last: 6 }]);
  t.same([...(progress.accepted.get('aws')?.ranges() ?? [])], [{ first: 1, last: 3 }]);
  t.same([...(progress.accepted.get('gcp')?.ranges() ?? [])], [{ first: 7, last: 8 }]);
  t.same(
    accept(progress, 'azure', { first: 4, last: 6 }, 2),
    [],
    'a late third copy of freed rows is nothing',
  );
  t.notOk(progress.accepted.has('azure'));
});

t.test('an acceptance under an older rule frees only what it names', async (t) => {
  const progress = progressOf(10);
  accept(progress, 'aws', { first: 1, last: 5 }, 3);
  accept(progress, 'gcp', { first: 1, last: 5 }, 3);
  t.same(accept(progress, 'gcp', { first: 9, last: 9 }, 2), []);
  t.ok(progress.pending.contains(1, 5));
  t.same(
    accept(progress, 'aws', { first: 1, last: 2 }, 2),
    [{ first: 1, last: 2 }],
    'reported again, it is free',
  );
});

t.test('sets that only touch do not count as two holders of one row (I3)', async (t) => {
  const progress = progressOf(10);
  accept(progress, 'aws', { first: 1, last: 5 }, 3);
  accept(progress, 'gcp', { first: 6, last: 10 }, 3);
  t.same(accept(progress, 'azure', { first: 1, last: 10 }, 3), []);
  t.equal(progress.pending.size, 10);
});

t.test('agrees with a plain model: one set of providers per row (I3)', async () => {
  const rows = 24;
  const providers = ['aws', 'azure', 'gcp', 'mqtt'];
  const step = fc.record({
    provider: fc.constantFrom(...providers),
    from: fc.integer({ min: 1, max: rows + 3 }),
    length: fc.integer({ min: 1, max: 10 }),
    copies: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const progress = progressOf(rows);
      const model = new Map(Array.from({ length: rows }, (_, i) => [i + 1, new Set<string>()]));
      for (const { provider, from, length, copies } of steps) {
        const free = accept(progress, provider, { first: from, last: from + length - 1 }, copies);
        const expected: number[] = [];
        for (let seq = from; seq < from + length; seq++) {
          const holders = model.get(seq)?.add(provider);
          if (holders && holders.size >= copies) {
            expected.push(seq);
            model.delete(seq);
          }
        }
        assert.deepEqual(free.flatMap(listed), expected);
        assert.deepEqual(members(progress.pending), [...model.keys()]);
        for (const name of providers) {
          const held = [...model].filter(([, holders]) => holders.has(name)).map(([seq]) => seq);
          assert.deepEqual(members(progress.accepted.get(name)), held);
        }
        assert.ok([...progress.accepted.values()].every((set) => set.size > 0));
      }
    }),
    { numRuns: 2000 },
  );
});

t.test('until a receipt: acceptances are noted and free nothing, the receipt frees (I3)', async (t) => {
  const progress = progressOf(10);
  t.same(accept(progress, 'aws', { first: 1, last: 6 }, 1, true), []);
  t.same(members(progress.accepted.get('aws')), [1, 2, 3, 4, 5, 6]);
  t.same(
    accept(progress, null, { first: 5, last: 8 }, 1),
    [{ first: 5, last: 8 }],
    'also what nobody accepted',
  );
  t.same(members(progress.accepted.get('aws')), [1, 2, 3, 4]);
  t.same(members(progress.pending), [1, 2, 3, 4, 9, 10]);
  t.same(accept(progress, null, { first: 5, last: 8 }, 1), []);
});

t.test('until a receipt, with two copies: it frees what two accepted (I3)', async (t) => {
  const progress = progressOf(10);
  accept(progress, 'aws', { first: 1, last: 6 }, 2, true);
  accept(progress, 'gcp', { first: 4, last: 8 }, 2, true);
  t.equal(progress.pending.size, 10);
  t.same(accept(progress, null, { first: 1, last: 10 }, 2), [{ first: 4, last: 6 }]);
  t.same(accept(progress, 'gcp', { first: 1, last: 3 }, 2, true), []);
  t.same(accept(progress, null, { first: 1, last: 10 }, 2), [{ first: 1, last: 3 }]);
});

function members(set: IntervalSet | undefined): number[] {
  return [...(set?.ranges() ?? [])].flatMap(listed);
}

function listed({ first, last }: { first: number; last: number }): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
