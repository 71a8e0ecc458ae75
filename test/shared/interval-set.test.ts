import fc from 'fast-check';
import t from 'tap';
import { IntervalSet } from '../../shared/interval-set.ts';
import type { SeqRange } from '../../shared/record.ts';

const MAX = 60;
const range: fc.Arbitrary<SeqRange> = fc
  .tuple(fc.integer({ min: 1, max: MAX }), fc.integer({ min: 0, max: 12 }))
  .map(([first, length]) => ({ first, last: first + length }));
const step = fc.record({ add: fc.boolean(), range });

function members({ first, last }: SeqRange): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function build(steps: ReadonlyArray<{ add: boolean; range: SeqRange }>): {
  set: IntervalSet;
  model: Set<number>;
} {
  const set = IntervalSet.empty();
  const model = new Set<number>();
  for (const { add, range } of steps) {
    const before = model.size;
    for (const value of members(range)) add ? model.add(value) : model.delete(value);
    const changed = add ? set.add(range.first, range.last) : set.remove(range.first, range.last);
    if (changed !== Math.abs(model.size - before)) throw new Error(`reported ${changed} changes`);
  }
  return { set, model };
}

const sorted = (model: Iterable<number>): number[] => [...model].sort((a, b) => a - b);
const listed = (set: IntervalSet): number[] => [...set.ranges()].flatMap(members);

t.test('agrees with a plain set over any adds and removes (I5, I6)', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { set, model } = build(steps);
      t.strictSame(listed(set), sorted(model));
      if (set.size !== model.size) throw new Error('size');
      if (set.max !== Math.max(0, ...model)) throw new Error('max');
      if (set.min !== (model.size ? Math.min(...model) : 0)) throw new Error('min');
      for (let value = 1; value <= MAX + 14; value++) {
        if (set.has(value) !== model.has(value)) throw new Error(`has ${value}`);
        let gap = value;
        while (model.has(gap)) gap += 1;
        if (set.firstGap(value) !== gap) throw new Error(`firstGap ${value}`);
      }
    }),
    { numRuns: 300 },
  );
});

t.test('intervals are sorted, apart and never adjacent', async () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let previous = -1;
      for (const { first, last } of build(steps).set.ranges()) {
        if (first <= previous + 1 || last < first) throw new Error('not canonical');
        previous = last;
      }
    }),
  );
});

t.test('union, difference, contains, within and missing agree with a plain set', async (t) => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 20 }),
      fc.array(step, { maxLength: 20 }),
      range,
      (a, b, probe) => {
        const left = build(a);
        const right = build(b);
        t.strictSame(listed(left.set.union(right.set)), sorted(left.model.union(right.model)));
        t.strictSame(listed(left.set.difference(right.set)), sorted(left.model.difference(right.model)));
        const inside = members(probe).filter((value) => left.model.has(value));
        const outside = members(probe).filter((value) => !left.model.has(value));
        t.strictSame(left.set.within(probe.first, probe.last).flatMap(members), inside);
        t.strictSame(left.set.missing(probe.first, probe.last).flatMap(members), outside);
        t.equal(left.set.contains(probe.first, probe.last), outside.length === 0);
      },
    ),
    { numRuns: 200 },
  );
});

t.test('encoding round-trips and is small without holes', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { set } = build(steps);
      if (!IntervalSet.decode(set.encode()).equals(set)) throw new Error('round trip');
      if (!set.clone().equals(set)) throw new Error('clone');
    }),
  );
  t.ok(IntervalSet.of([{ first: 1, last: 1_000_000_000 }]).encode().length <= 6);
  t.ok(IntervalSet.decode(new Uint8Array()).equals(IntervalSet.empty()));
});

t.test('decoding refuses what encoding cannot have written', async (t) => {
  for (const bytes of [
    [0x80],
    [1],
    [0, 3],
    [1, 0, 1, 0],
    [1, 0, 0, 0],
    Array.from({ length: 12 }, () => 0xff),
  ]) {
    t.throws(() => IntervalSet.decode(Uint8Array.from(bytes)), RangeError, `bytes ${bytes}`);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
      try {
        const set = IntervalSet.decode(bytes);
        if (!IntervalSet.decode(set.encode()).equals(set)) throw new Error('accepted, but not canonical');
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    }),
  );
});

t.test('bad ranges are refused', async (t) => {
  for (const [first, last] of [
    [0, 1],
    [2, 1],
    [1.5, 2],
    [1, Number.NaN],
  ] as const) {
    t.throws(() => IntervalSet.empty().add(first, last), RangeError);
    t.throws(() => IntervalSet.empty().remove(first, last), RangeError);
  }
});
