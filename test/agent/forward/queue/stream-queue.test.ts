import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import { type Run, StreamQueue } from '../../../../agent/forward/queue/stream-queue.ts';
import { IntervalSet } from '../../../../shared/interval-set.ts';
import type { SeqRange } from '../../../../shared/record.ts';

const PROVIDERS = ['aws', 'azure', 'gcp', 'mqtt'] as const;

type Step =
  | { do: 'commit'; rows: number }
  | { do: 'take'; run: number; rowsMax: number; fits: number }
  | { do: 'lose'; run: number; at: number; length: number }
  | { do: 'answer'; flight: number; provider: number }
  | { do: 'return'; flight: number }
  | { do: 'reopen'; phantoms: number };

const small = fc.nat(7);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('commit' as const), rows: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('take' as const),
      run: small,
      rowsMax: fc.integer({ min: 1, max: 8 }),
      fits: small,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('lose' as const), run: small, at: small, length: small }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('answer' as const), flight: small, provider: fc.nat(3) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('return' as const), flight: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const), phantoms: fc.nat(3) }) },
);

/** The queue beside a map of rows to their holders, one entry per row still owed. */
class World {
  readonly queue: StreamQueue;
  readonly copies: number;
  readonly holders = new Map<number, Set<string>>();
  /** Every provider that ever took a row; I3 is checked against it. */
  readonly taken = new Map<number, Set<string>>();
  readonly lost = new Set<number>();
  flights: Run[] = [];
  committedTo = 0;

  constructor(copies: number) {
    this.copies = copies;
    this.queue = new StreamQueue({
      epoch: '1-ab',
      stream: 's',
      pending: IntervalSet.empty(),
      accepted: new Map(),
      gaps: [],
      sealedAt: null,
    });
  }

  do(step: Step): void {
    switch (step.do) {
      case 'commit':
        this.queue.committed(this.committedTo + 1, this.committedTo + step.rows, step.rows * 10, 0);
        this.#grow(step.rows);
        break;
      case 'take':
        this.#take(step.run, step.rowsMax, step.fits);
        break;
      case 'lose':
        this.#lose(step.run, step.at, step.length);
        break;
      case 'answer':
        this.#answer(step.flight, PROVIDERS[step.provider] ?? 'aws');
        break;
      case 'return':
        this.#return(step.flight);
        break;
      case 'reopen':
        this.#reopen(step.phantoms);
        break;
    }
  }

  #grow(rows: number): void {
    for (let i = 0; i < rows; i++) {
      this.committedTo += 1;
      this.holders.set(this.committedTo, new Set());
      this.taken.set(this.committedTo, new Set());
    }
  }

  #take(index: number, rowsMax: number, fits: number): void {
    const runs = runsOf(this.queue, rowsMax);
    const run = runs[index % Math.max(1, runs.length)];
    if (!run) return;
    for (const flight of this.flights) assert(run.last < flight.first || run.first > flight.last, 'overlap');
    this.queue.reserve(run.first, run.last);
    const last = Math.min(run.last, run.first + fits);
    this.queue.packed(
      { first: run.first, last },
      last === run.last ? null : { first: last + 1, last: run.last },
    );
    this.flights.push({ ...run, last });
  }

  /** The store no longer has some rows of a run that was about to be packed; the rest goes back. */
  #lose(index: number, at: number, length: number): void {
    const runs = runsOf(this.queue, 8);
    const run = runs[index % Math.max(1, runs.length)];
    if (!run) return;
    const first = Math.min(run.first + at, run.last);
    const hole = { first, last: Math.min(first + length, run.last) };
    this.queue.reserve(run.first, run.last);
    this.queue.gaveUp({ ...hole, reason: 'corruption' });
    this.queue.release(run.first, run.last);
    for (const row of rows(hole)) {
      this.holders.delete(row);
      this.lost.add(row);
    }
  }

  #answer(index: number, provider: string): void {
    const flight = this.flights[index % Math.max(1, this.flights.length)];
    if (!flight || flight.acceptedBy.has(provider)) return;
    this.queue.accepted(provider, flight.first, flight.last, this.copies);
    for (const row of rows(flight)) {
      this.taken.get(row)?.add(provider);
      const held = this.holders.get(row);
      held?.add(provider);
      if (held && held.size >= this.copies) this.holders.delete(row);
    }
  }

  #return(index: number): void {
    const [flight] = this.flights.splice(index % Math.max(1, this.flights.length), 1);
    if (flight) this.queue.release(flight.first, flight.last);
  }

  /**
   * The store failed and came back: `phantoms` rows of the commit that failed reached the disk after all, and
   * no row that was delivered had been freed there.
   */
  #reopen(phantoms: number): void {
    this.#grow(phantoms);
    this.queue.reopened({
      epoch: '1-ab',
      stream: 's',
      pending: IntervalSet.of(this.committedTo > 0 ? [{ first: 1, last: this.committedTo }] : []),
      accepted: new Map(),
      gaps: [],
      sealedAt: null,
    });
  }

  check(): void {
    const { queue, holders } = this;
    assert.equal(queue.owed, holders.size, 'owed');
    const reserved = new Set(this.flights.flatMap((flight) => rows(flight)));
    assert.equal(queue.reserved, reserved.size, 'reserved');
    const announced = new Set(queue.gaps.flatMap((gap) => rows(gap)));
    assert.deepEqual(announced, this.lost, 'each lost row is announced once (I3)');
    for (const [row, taken] of this.taken) {
      const owed = holders.has(row);
      assert.equal(owed, taken.size < this.copies && !this.lost.has(row), `row ${row} (I3)`);
    }
    const classes = new Map<string, number>();
    for (const row of [...holders.keys()].sort((a, b) => a - b)) {
      const name = `${queue.laneOf(row)} ${[...(holders.get(row) ?? [])].sort().join()}`;
      if (!reserved.has(row) && !classes.has(name)) classes.set(name, row);
    }
    const runs = runsOf(queue, 5);
    assert.deepEqual(
      runs.map((run) => run.first).sort((a, b) => a - b),
      [...classes.values()].sort((a, b) => a - b),
      'one run for each lane and set of holders, at its lowest free row',
    );
    for (const run of runs) {
      assert(run.last - run.first < 5, 'rowsMax');
      for (const row of rows(run)) {
        assert(!reserved.has(row), 'reserved row in a run');
        assert.deepEqual(holders.get(row), run.acceptedBy, `holders of ${row}`);
      }
    }
  }
}

/** Of both lanes, the backlog first. */
function runsOf(queue: StreamQueue, rowsMax: number): Run[] {
  return [...queue.runs('backlog', rowsMax), ...queue.runs('live', rowsMax)];
}

function rows({ first, last }: SeqRange): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function queueOf(pending: SeqRange[], accepted: Array<[string, SeqRange[]]> = []): StreamQueue {
  return new StreamQueue({
    epoch: '1-ab',
    stream: 's',
    pending: IntervalSet.of(pending),
    accepted: new Map(accepted.map(([provider, ranges]) => [provider, IntervalSet.of(ranges)])),
    gaps: [],
    sealedAt: null,
  });
}

const plain = (runs: Iterable<Run>): unknown[] =>
  [...runs].map(({ first, last, acceptedBy }) => [first, last, [...acceptedBy].sort().join()]);

t.test(
  'a row is owed until that many different providers took it, and is in one envelope at a time (I3)',
  async () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.array(step, { maxLength: 60, size: 'max' }),
        (copies, steps) => {
          const world = new World(copies);
          for (const step of steps) {
            world.do(step);
            world.check();
          }
        },
      ),
      { numRuns: 1000 },
    );
  },
);

t.test('the same provider twice is one copy (I3)', async (t) => {
  const queue = queueOf([{ first: 1, last: 10 }]);
  queue.accepted('aws', 1, 10, 2);
  queue.accepted('aws', 1, 10, 2);
  t.equal(queue.owed, 10);
  queue.accepted('gcp', 4, 5, 2);
  t.strictSame(plain(runsOf(queue, 100)), [[1, 3, 'aws']]);
  queue.accepted('gcp', 1, 10, 2);
  t.equal(queue.owed, 0);
  t.ok(queue.idle);
});

t.test('after a start it goes on where the store was', async (t) => {
  const queue = queueOf([{ first: 3, last: 9 }], [['aws', [{ first: 5, last: 6 }]]]);
  t.equal(queue.owed, 7);
  t.strictSame(plain(runsOf(queue, 2)), [
    [3, 4, ''],
    [5, 6, 'aws'],
  ]);
  t.ok(queue.due({ first: 3, last: 4, acceptedBy: new Set() }, 0, 1000, 4000), 'they waited already');
});

t.test(
  'fewer copies asked than before: what was accepted under the old rule is free at the next word',
  async (t) => {
    const queue = queueOf([{ first: 1, last: 6 }], [['aws', [{ first: 1, last: 3 }]]]);
    queue.accepted('aws', 1, 3, 1);
    t.strictSame(plain(runsOf(queue, 100)), [[4, 6, '']]);
  },
);

t.test('rows that only another provider can take never hide the rows behind them', async (t) => {
  const held = queueOf([{ first: 1, last: 100_001 }], [['aws', [{ first: 1, last: 100_000 }]]]);
  t.strictSame(plain(runsOf(held, 5000)), [
    [1, 5000, 'aws'],
    [100_001, 100_001, ''],
  ]);
  const scattered = Array.from({ length: 200 }, (_, i) => ({ first: i * 3 + 1, last: i * 3 + 2 }));
  const queue = queueOf([...scattered, { first: 1000, last: 1005 }], [['aws', scattered]]);
  t.strictSame(plain(runsOf(queue, 5000)), [
    [1, 2, 'aws'],
    [1000, 1005, ''],
  ]);
});

t.test('due: enough bytes, or the linger of the oldest commit is over', async (t) => {
  const queue = queueOf([]);
  const due = (nowMs: number): boolean => {
    const [run] = runsOf(queue, 100);
    return run !== undefined && queue.due(run, nowMs, 50, 4000);
  };
  queue.committed(1, 2, 1000, 100);
  t.equal(queue.oldestWaitingMs(), 100);
  t.notOk(due(149));
  t.ok(due(150));
  queue.committed(3, 4, 2999, 120);
  t.notOk(due(149), 'one byte short');
  queue.committed(5, 5, 1, 120);
  t.ok(due(120), 'enough bytes for an envelope');

  queue.reserve(1, 5);
  queue.packed({ first: 1, last: 4 }, { first: 5, last: 5 });
  t.equal(queue.oldestWaitingMs(), 100, 'what is under way waits still');
  queue.accepted('a', 1, 4, 1);
  t.equal(queue.oldestWaitingMs(), 120, 'the row that did not fit');
  t.notOk(due(169));
  t.ok(due(170));
});

t.test('due: rows that come back undelivered go again at once', async (t) => {
  const queue = queueOf([]);
  queue.committed(1, 5, 100, 0);
  queue.reserve(1, 5);
  queue.packed({ first: 1, last: 5 }, null);
  queue.committed(6, 9, 100, 10);
  const run = { first: 6, last: 9, acceptedBy: new Set<string>() };
  t.notOk(queue.due(run, 10, 50, 4000));
  queue.release(1, 5);
  const [back] = runsOf(queue, 100);
  t.strictSame(
    plain(runsOf(queue, 100)),
    [
      [1, 5, ''],
      [6, 9, ''],
    ],
    'they are backlog now, the rows behind them are not',
  );
  t.ok(back && queue.due(back, 10, 50, 4000));
  t.notOk(queue.due(run, 10, 50, 4000), 'the rows behind them wait for their own linger');
});

t.test('due: after a reopening nothing lingers', async (t) => {
  const queue = queueOf([]);
  queue.committed(1, 3, 10, 0);
  queue.reopened({
    epoch: '1-ab',
    stream: 's',
    pending: IntervalSet.of([{ first: 1, last: 5 }]),
    accepted: new Map(),
    gaps: [],
    sealedAt: 5,
  });
  t.strictSame(plain(runsOf(queue, 100)), [[1, 5, '']]);
  t.ok(queue.due({ first: 1, last: 5, acceptedBy: new Set() }, 0, 50, 4000));
  t.equal(queue.sealedAt, 5);
  t.notOk(queue.idle);
});

t.test('the age of the oldest row survives any number of commits behind it (I10)', async (t) => {
  const queue = queueOf([]);
  for (let seq = 1; seq <= 2000; seq++) queue.committed(seq, seq, 1, seq * 10);
  t.equal(queue.oldestWaitingMs(), 10, 'so an outage is seen as a backlog');
  t.notOk(queue.due({ first: 1, last: 2000, acceptedBy: new Set() }, 20_000, 60_000, 4000));
  t.ok(
    queue.due({ first: 1, last: 2000, acceptedBy: new Set() }, 20_000, 60_000, 2000),
    'no byte was forgotten',
  );
  queue.reserve(1, 2000);
  queue.packed({ first: 1, last: 2000 }, null);
  t.equal(queue.oldestWaitingMs(), 10);
  queue.accepted('a', 1, 2000, 1);
  t.equal(queue.oldestWaitingMs(), null);
});

t.test(
  'after a salvage, the rows that are gone are announced, and acceptances that it forgot are not',
  async (t) => {
    const queue = queueOf([{ first: 1, last: 20 }]);
    queue.accepted('a', 1, 5, 1);
    const forgotten = queue.reopened({
      epoch: '1-ab',
      stream: 's',
      // 1..3 were freed in the file, 4..5 not yet; it lost 4, 9..10, and never knew 18..20.
      pending: IntervalSet.of([
        { first: 5, last: 8 },
        { first: 11, last: 17 },
      ]),
      accepted: new Map(),
      gaps: [
        { first: 4, last: 4, reason: 'corruption' },
        { first: 9, last: 10, reason: 'corruption' },
      ],
      sealedAt: 20,
    });
    t.strictSame(queue.gaps, [
      { first: 9, last: 10, reason: 'corruption' },
      { first: 18, last: 20, reason: 'corruption' },
    ]);
    t.strictSame(forgotten, [{ first: 5, last: 5 }]);
    t.equal(queue.owed, 10, '6 to 8 and 11 to 17');
  },
);
