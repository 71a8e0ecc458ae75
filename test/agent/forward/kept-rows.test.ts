/**
 * The queue of a stream that waits for receipts: rows that are kept, freed and sent again, and the providers
 * used (I3).
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { type Run, StreamQueue } from '../../../agent/forward/queue/stream-queue.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { SeqRange } from '../../../shared/record.ts';

function queueOf(rows: number): StreamQueue {
  const queue = new StreamQueue({
    epoch: '1-ab',
    stream: 's',
    pending: IntervalSet.of([{ first: 1, last: rows }]),
    accepted: new Map(),
    gaps: [],
    sealedAt: null,
  });
  return queue;
}

const covered = (...ranges: Array<[number, number]>): IntervalSet =>
  IntervalSet.of(ranges.map(([first, last]) => ({ first, last })));
const runsOf = (queue: StreamQueue): Run[] => [...queue.runs('backlog', 1000), ...queue.runs('live', 1000)];

t.test('rows with their copies are kept, not owed, until the receipt covers them (I3)', async (t) => {
  const queue = queueOf(10);
  queue.accepted('aws', 1, 6, 1, true);
  t.match(queue, { owed: 4, kept: 6, idle: false });
  t.same(queue.received(covered([1, 2], [5, 8]), 1), [
    { first: 1, last: 2 },
    { first: 5, last: 8 },
  ]);
  t.match(queue, { owed: 2, kept: 2 }, '7 and 8 had an unknown outcome, and are there');
  queue.accepted('aws', 9, 10, 1, true);
  t.same(queue.received(covered([1, 10]), 1), [
    { first: 3, last: 4 },
    { first: 9, last: 10 },
  ]);
  t.ok(queue.idle);
});

t.test('a receipt that came before the acceptance counts after it', async (t) => {
  const queue = queueOf(4);
  queue.accepted('aws', 1, 4, 2, true);
  t.same(queue.received(covered([1, 4]), 2), [], 'two copies are asked');
  t.equal(queue.owed, 4);
  queue.accepted('gcp', 1, 3, 2, true);
  t.same(queue.received(null, 2), [{ first: 1, last: 3 }]);
  t.match(queue, { owed: 1, kept: 0 });
});

t.test('what did not arrive is owed again at once, and not through who lost it', async (t) => {
  const queue = queueOf(10);
  queue.accepted('aws', 1, 10, 1, true);
  t.equal(queue.doubt('aws', { first: 3, last: 5 }, 60_000), 3);
  t.match(queue, { owed: 3, kept: 7 });
  t.same(runsOf(queue), [{ first: 3, last: 5, acceptedBy: new Set(), avoid: new Set(['aws']) }]);
  t.ok(queue.due({ first: 3, last: 5, acceptedBy: new Set() }, 0, 10_000, 4000), 'without a linger');
  queue.accepted('azure', 3, 5, 1, true);
  t.match(queue, { owed: 0, kept: 10 });
  t.equal(queue.doubt('azure', { first: 4, last: 4 }, 61_000), 1);
  t.same(
    runsOf(queue).map(({ avoid }) => avoid),
    [new Set(['aws', 'azure'])],
    'nor through who had lost it before',
  );
  queue.age(61_000, 5000);
  t.same(runsOf(queue), [{ first: 4, last: 4, acceptedBy: new Set() }], 'after a while through anybody');
  t.equal(queue.doubt('aws', { first: 20, last: 30 }, 0), 0);
});

t.test('runs are cut where those to avoid change', async (t) => {
  const queue = queueOf(9);
  queue.accepted('aws', 1, 9, 1, true);
  queue.doubt('aws', { first: 1, last: 6 }, 1000);
  queue.accepted('gcp', 4, 6, 1, true);
  queue.doubt('gcp', { first: 4, last: 5 }, 1000);
  t.same(
    runsOf(queue).map(({ first, last, avoid }) => [first, last, [...(avoid ?? [])]]),
    [
      [1, 3, ['aws']],
      [4, 5, ['aws', 'gcp']],
    ],
  );
});

t.test('rows that the buffer gave up, or lost with its file, are gaps; nothing is sent again', async (t) => {
  const queue = queueOf(10);
  queue.accepted('aws', 1, 8, 1, true);
  queue.outstanding.acknowledged('aws', { first: 1, last: 8 }, 0);
  queue.gaveUp({ first: 1, last: 3, reason: 'quota' });
  t.same(queue.outstanding.takeOverdue(0), [{ provider: 'aws', ranges: [{ first: 4, last: 8 }] }]);
  t.equal(queue.doubt('aws', { first: 1, last: 3 }, 0), 0);
  queue.vanished();
  t.match(queue, { owed: 0, kept: 0 });
  t.same(queue.gaps, [
    { first: 1, last: 3, reason: 'quota' },
    { first: 4, last: 10, reason: 'corruption' },
  ]);
});

t.test('no row is lost or freed without a receipt, whatever happens in whatever order (I3)', async () => {
  const ROWS = 20;
  const range = fc.tuple(fc.integer({ min: 1, max: ROWS }), fc.integer({ min: 0, max: 8 }));
  const step = fc.record({
    kind: fc.constantFrom('accept' as const, 'receive' as const, 'doubt' as const),
    provider: fc.constantFrom('a', 'b', 'c'),
    range,
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 }), fc.array(step, { maxLength: 50 }), (copies, steps) => {
      const queue = queueOf(ROWS);
      const free = new Set<number>();
      const seen = new Set<number>();
      for (const { kind, provider, range } of steps) {
        const [first, length] = range;
        const rows = { first, last: Math.min(ROWS, first + length) };
        if (kind === 'doubt') queue.doubt(provider, rows, 1000);
        if (kind === 'accept') queue.accepted(provider, rows.first, rows.last, copies, true);
        if (kind === 'receive') for (const row of listed(rows)) seen.add(row);
        const receipt = IntervalSet.of([...seen].map((row) => ({ first: row, last: row })));
        for (const row of queue.received(receipt, copies).flatMap(listed)) {
          assert.ok(seen.has(row) && !free.has(row), `${row} is freed once, by a receipt`);
          free.add(row);
        }
        assert.equal(queue.owed + queue.kept + free.size, ROWS, 'each row is somewhere');
        const owed = runsOf(queue).flatMap(listed);
        assert.ok(owed.every((row) => !free.has(row)));
        for (const { acceptedBy, avoid } of runsOf(queue))
          assert.ok([...(avoid ?? [])].every((name) => !acceptedBy.has(name) || copies > 1));
      }
    }),
    { numRuns: 500 },
  );
});

function listed({ first, last }: SeqRange): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
