/**
 * The order of `hold_back` against random arrival orders, on a real ledger (I11), and what bounds it (I10).
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { Feed } from '../../../router/feeds/feed.ts';
import { type HoldBackLimits, withoutRecord } from '../../../router/feeds/hold-back.ts';
import { openHoldBackReader } from '../../../router/feeds/hold-back-reader.ts';
import { type FeedReader, START } from '../../../router/feeds/reader.ts';
import { DeliveryError } from '../../../router/feeds/sink.ts';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import type { FeedPosition, LedgerEntry, LedgerRecord } from '../../../router/ledger/types.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { entry, gap, seqs } from '../ledger/envelopes.ts';

const log = createLogger({ level: 'silent', levels: {} });
const STREAMS = ['a', 'b', 'c'];
const SEQS = 10;
const MAX_WAIT_MS = 60_000;

type Step =
  | { kind: 'arrive' | 'give-up'; stream: number; seq: number }
  /** Hands over one batch of up to `limit`, of which the destination takes `share`. */
  | { kind: 'batch'; limit: number; share: number }
  /** The router is killed: `saved`, or between the destination and the ledger. */
  | { kind: 'crash'; saved: boolean };

/** Every seq of every stream arrives, is given up or is lost, in any order, among batches and crashes. */
const history: fc.Arbitrary<Step[]> = fc
  .array(fc.constantFrom('arrive', 'arrive', 'arrive', 'give-up', 'lost'), {
    minLength: STREAMS.length * SEQS,
    maxLength: STREAMS.length * SEQS,
  })
  .chain((fates) => {
    const events = fates.flatMap((kind, i): Step[] =>
      kind === 'lost'
        ? []
        : [
            {
              kind: kind === 'arrive' ? kind : 'give-up',
              stream: i % STREAMS.length,
              seq: Math.floor(i / 3) + 1,
            },
          ],
    );
    const batches = fc.array(
      fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({
            kind: fc.constant('batch' as const),
            limit: fc.integer({ min: 1, max: 6 }),
            share: fc.double({ min: 0, max: 1, noNaN: true }),
          }),
        },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const), saved: fc.boolean() }) },
      ),
      { maxLength: 30 },
    );
    return batches.chain((steps) =>
      fc.shuffledSubarray([...events, ...steps], { minLength: events.length + steps.length }),
    );
  });

function entryOf({ kind, stream, seq }: Extract<Step, { seq: number }>): LedgerEntry {
  const name = STREAMS[stream] ?? '';
  // Two of the streams are one gateway's.
  const key = { gateway: `gw-${stream % 2}`, stream: name };
  return kind === 'arrive' ? entry({ ...key, seqs: [seq] }) : entry({ ...key, gaps: [gap(seq, seq)] });
}

/** A feed on `ledger` that can be killed, and what its destination has seen. */
class Followed {
  readonly clock = new ManualClock();
  readonly seen: LedgerRecord[] = [];
  readonly #ledger: Ledger;
  readonly #limits: HoldBackLimits;
  #reader: FeedReader | null = null;
  #position: FeedPosition = START;
  #before: FeedPosition = START;

  constructor(ledger: Ledger, limits: Partial<HoldBackLimits> = {}) {
    this.#ledger = ledger;
    this.#limits = { recordsMax: 1000, maxWaitMs: MAX_WAIT_MS, ...limits };
  }

  get held(): number {
    return this.#reader?.held ?? 0;
  }

  get position(): FeedPosition {
    return this.#position;
  }

  /** Reads one batch and returns its records. */
  async batch(limit: number, share: number): Promise<LedgerRecord[]> {
    const { signal } = new AbortController();
    const options = { ledger: this.#ledger, clock: this.clock, limits: this.#limits, signal };
    this.#reader ??= await openHoldBackReader(options, this.#position);
    const records = await this.#reader.next(limit);
    const count = Math.ceil(records.length * share);
    this.#before = this.#position;
    this.#position = this.#reader.after(count);
    this.#reader.handed(count);
    this.seen.push(...records.slice(0, count));
    // As a sink that takes a part gets the rest next.
    if (count < records.length) {
      const rest = records.length - count;
      this.#position = this.#reader.after(rest);
      this.#reader.handed(rest);
      this.seen.push(...records.slice(count));
    }
    return records;
  }

  /** `saved`: after the position of the last batch was kept; otherwise just before. */
  crash(saved: boolean): void {
    this.#reader = null;
    if (!saved) this.#position = this.#before;
    this.#before = this.#position;
  }

  /** Until nothing more comes, at this time. */
  async all(): Promise<void> {
    for (;;) {
      // Given-up records are asked for once a second.
      this.clock.advance(1000);
      if ((await this.batch(4, 1)).length === 0) return;
    }
  }
}

/** Ids, without repeats, in the order in which they came first. */
function firsts(records: readonly LedgerRecord[]): string[] {
  return [...new Set(records.map(({ stream, seq }) => `${stream}${seq}`))];
}

async function withLedger(folder: string, use: (ledger: Ledger) => Promise<void>): Promise<void> {
  const place = mkdtempSync(join(folder, 'run-'));
  const ledger = await openSqliteLedger({ file: join(place, 'ledger.db'), clock: systemClock, log });
  try {
    await use(ledger);
  } finally {
    await ledger.close();
    rmSync(place, { recursive: true });
  }
}

t.test(
  'whatever the order of arrival: no record before one that may still come, none left out',
  async (t) => {
    const folder = testDir(t);
    const property = fc.asyncProperty(history, (steps) =>
      withLedger(folder, async (ledger) => {
        const feed = new Followed(ledger);
        const arrived = new Set<string>();
        const givenUp = new Set<string>();
        for (const step of steps) {
          if (step.kind === 'crash') feed.crash(step.saved);
          else if (step.kind === 'batch') await feed.batch(step.limit, step.share);
          else {
            await ledger.commit([entryOf(step)]);
            (step.kind === 'arrive' ? arrived : givenUp).add(`${STREAMS[step.stream]}${step.seq}`);
          }
          checkOrder(feed.seen, givenUp);
        }
        await feed.all();
        checkOrder(feed.seen, givenUp);
        const known = new Set([...arrived, ...givenUp]);
        const due = [...arrived].filter((id) =>
          seqs(1, Number(id.slice(1))).every((seq) => known.has(`${id[0]}${seq}`)),
        );
        const before = firsts(feed.seen);
        for (const id of due) if (!before.includes(id)) throw new Error(`${id} is held for nothing`);
        feed.clock.advance(MAX_WAIT_MS);
        await feed.all();
        const after = firsts(feed.seen);
        for (const id of arrived) if (!after.includes(id)) throw new Error(`${id} was left out`);
        if (after.length !== arrived.size) throw new Error('something came that was never there');
        const crashed = steps.some(({ kind }) => kind === 'crash');
        if (!crashed && feed.seen.length !== arrived.size) throw new Error('something came twice');
        for (const stream of STREAMS)
          ascending(after.slice(before.length).filter(([name]) => name === stream));
      }),
    );
    await t.resolves(fc.assert(property, { numRuns: 40, seed: 11 }));
  },
);

/** A record may come before a lower seq of its stream only where that was given up by then. */
function checkOrder(seen: readonly LedgerRecord[], givenUp: ReadonlySet<string>): void {
  const out = new Set<string>();
  for (const id of firsts(seen)) {
    for (const seq of seqs(1, Number(id.slice(1)) - 1)) {
      const lower = `${id[0]}${seq}`;
      if (!out.has(lower) && !givenUp.has(lower)) throw new Error(`${id} came before ${lower}`);
    }
    out.add(id);
  }
}

function ascending(ids: readonly string[]): void {
  const numbers = ids.map((id) => Number(id.slice(1)));
  for (const [i, number] of numbers.entries()) {
    if (number < (numbers[i - 1] ?? 0)) throw new Error(`not in order: ${ids.join(' ')}`);
  }
}

t.test('never more records are held than may be, and none is left out for it', async (t) => {
  const folder = testDir(t);
  const property = fc.asyncProperty(history, fc.integer({ min: 1, max: 5 }), (steps, recordsMax) =>
    withLedger(folder, async (ledger) => {
      const feed = new Followed(ledger, { recordsMax });
      let arrived = 0;
      for (const step of steps) {
        if (step.kind === 'batch') await feed.batch(step.limit, step.share);
        else if (step.kind !== 'crash') {
          await ledger.commit([entryOf(step)]);
          if (step.kind === 'arrive') arrived += 1;
        }
        if (feed.held > recordsMax) throw new Error(`${feed.held} are held`);
      }
      await feed.all();
      feed.clock.advance(MAX_WAIT_MS);
      await feed.all();
      if (firsts(feed.seen).length !== arrived || feed.seen.length !== arrived) {
        throw new Error(`${feed.seen.length} of ${arrived} came`);
      }
    }),
  );
  await t.resolves(fc.assert(property, { numRuns: 20, seed: 12 }));
});

t.test('a record waits no longer than max_wait, and what follows it not again', async (t) => {
  await withLedger(testDir(t), async (ledger) => {
    const feed = new Followed(ledger);
    await ledger.commit([entry({ seqs: [1, 3, 4] })]);
    t.strictSame(offsets(await feed.batch(10, 1)), [1]);
    t.equal(feed.held, 2);
    feed.clock.advance(MAX_WAIT_MS - 1);
    t.strictSame(offsets(await feed.batch(10, 1)), []);
    feed.clock.advance(1);
    t.strictSame(offsets(await feed.batch(10, 1)), [2, 3]);
    await ledger.commit([entry({ seqs: [5, 2] })]);
    t.strictSame(offsets(await feed.batch(10, 1)), [4, 5], 'the late one at once');
    feed.crash(true);
    await ledger.commit([entry({ seqs: [6, 8] })]);
    t.strictSame(offsets(await feed.batch(10, 1)), [6], 'a restart waits for nothing that was passed');
  });
});

function offsets(records: readonly LedgerRecord[]): number[] {
  return records.map(({ offset }) => offset);
}

t.test('a held record that the ledger has no more keeps nothing', async (t) => {
  const folder = testDir(t);
  const file = join(folder, 'ledger.db');
  const ledger = await openSqliteLedger({ file, clock: systemClock, log });
  t.teardown(() => ledger.close());
  const feed = new Followed(ledger);
  await ledger.commit([entry({ seqs: [1, 3, 4] })]);
  t.strictSame(offsets(await feed.batch(10, 1)), [1]);
  t.strictSame(offsets(await feed.batch(10, 1)), []);
  const db = new Database(file);
  t.teardown(() => db.close());
  db.exec('DELETE FROM record WHERE seq = 3');
  feed.clock.advance(MAX_WAIT_MS);
  t.strictSame(offsets(await feed.batch(10, 1)), [3], 'released, without what is gone');
  t.match(feed.position, { offset: 3, progress: { byteLength: 0 } });
  await ledger.commit([entry({ stream: 'other', seqs: [2, 3] })]);
  t.strictSame(offsets(await feed.batch(10, 1)), []);
  feed.crash(true);
  db.exec('DELETE FROM record WHERE offset = 4');
  t.strictSame(offsets(await feed.batch(10, 1)), [5]);
  t.match(
    feed.position,
    { offset: 5, progress: { byteLength: 0 } },
    'of a record that went while the feed was down as well',
  );
});

t.test('a feed with hold_back: order across a restart, and the position in the ledger', async (t: Test) => {
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  const seen: number[] = [];
  const start = async () => {
    const feed = new Feed({
      name: 'a',
      ledger,
      sink: {
        async write(records) {
          seen.push(...records.map(({ seq }) => seq));
          return records.length;
        },
        close: () => Promise.resolve(),
      },
      clock: systemClock,
      entropy,
      log,
      holdBack: { recordsMax: 100, maxWaitMs: 60_000 },
    });
    await feed.start();
    t.teardown(() => feed.stop());
    return feed;
  };
  await ledger.commit([entry({ seqs: [1, 2, 5, 6, 3] })]);
  const first = await start();
  await until('2 records are held', () => first.state().held === 2);
  await until('3 records are out', () => seen.length === 3);
  t.match(first.state(), { cursor: 2, held: 2, written: 3 }, 'up to the first that is held');
  await first.stop();
  t.equal((await ledger.loadFeedPosition('a')).offset, 2);
  await ledger.commit([entry({ seqs: [7] })]);
  const second = await start();
  await until('3 records are held', () => second.state().held === 3);
  await ledger.commit([entry({ gaps: [gap(4, 4)] })]);
  await until('6 records are out', () => seen.length === 6);
  t.strictSame(seen, [1, 2, 3, 5, 6, 7], 'and none of them twice');
  await until('the feed reaches 6', () => second.state().cursor === 6);
  t.equal((await ledger.loadFeedPosition('a')).offset, 6);
});

t.test('a refused record of one stream is skipped alone, and holds back no other order', async (t: Test) => {
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  const seen: string[] = [];
  const feed = new Feed({
    name: 'a',
    ledger,
    sink: {
      async write(records) {
        if (records.some(({ stream, seq }) => stream === 'a' && seq === 2))
          throw new DeliveryError('no', { refusal: 'certain' });
        seen.push(...records.map(({ stream, seq }) => `${stream}${seq}`));
        return records.length;
      },
      close: () => Promise.resolve(),
    },
    clock: systemClock,
    entropy,
    log,
    holdBack: { recordsMax: 100, maxWaitMs: 60_000 },
  });
  // b2 lies first in the ledger and is held until b1 comes.
  await ledger.commit([entry({ stream: 'b', seqs: [2] }), entry({ stream: 'a', seqs: [1, 2, 3] })]);
  await feed.start();
  t.teardown(() => feed.stop());
  const refused = await until('a2 stands alone', () => feed.state().refused);
  t.match(refused, { id: 'gw-1/1-aa/a/2', error: 'no' });
  t.strictSame(seen, ['a1']);
  const from = await ledger.loadFeedPosition('a');
  const to = withoutRecord(from, refused.offset);
  t.ok(to && (await ledger.moveFeedPosition('a', from, to)), 'as headgate feeds skip does');
  await ledger.commit([entry({ stream: 'b', seqs: [1] })]);
  await until('all others come', () => seen.length === 4);
  t.strictSame(
    seen.filter((id) => id.startsWith('a')),
    ['a1', 'a3'],
  );
  t.strictSame(
    seen.filter((id) => id.startsWith('b')),
    ['b1', 'b2'],
  );
});
