import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import t, { type Test } from 'tap';
import { Feed, type FeedOptions } from '../../../router/feeds/feed.ts';
import { feedLags } from '../../../router/feeds/lag.ts';
import { registerFeeds } from '../../../router/feeds/metrics.ts';
import { DeliveryError, type FeedSink } from '../../../router/feeds/sink.ts';
import { openNdjsonSink } from '../../../router/feeds/sinks/ndjson.ts';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { asTimePasses, until } from '../../until.ts';
import { entry, seqs } from '../ledger/envelopes.ts';

const clock = systemClock;
const POLL_MS = 1000;
const STOP_GRACE_MS = 5000;
const silent = createLogger({ level: 'silent', levels: {} });

async function fresh(t: Test) {
  const folder = testDir(t);
  const events: string[] = [];
  const log = createLogger(
    { level: 'info', levels: {} },
    { write: (line) => void events.push(JSON.parse(line).event) },
  );
  const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const start = async (name: string, sink: FeedSink, rest: Partial<FeedOptions> = {}): Promise<Feed> => {
    const feed = new Feed({ name, ledger, sink, clock, entropy, log, ...rest });
    await feed.start();
    t.teardown(() => feed.stop());
    return feed;
  };
  return { folder, events, ledger, start };
}

/** A destination that remembers the offsets of each batch. */
function memory(): FeedSink & { batches: number[][] } {
  const batches: number[][] = [];
  return {
    batches,
    async write(records) {
      batches.push(records.map(({ offset }) => offset));
      return records.length;
    },
    async close() {
      await Promise.resolve();
    },
  };
}

function file(path: string): FeedSink {
  return openNdjsonSink({ file: path }, process.stdout, clock);
}

function offsetsIn(path: string): number[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line).offset);
}

async function reached(ledger: Ledger, feed: string, offset: number): Promise<void> {
  await until(
    `${feed} reaches ${offset}`,
    async () => (await ledger.loadFeedPosition(feed)).offset >= offset,
  );
}

t.test('follows the ledger in bounded batches, from its cursor, also after a restart', async (t) => {
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: seqs(1, 25) })]);
  const first = memory();
  const feed = await start('a', first, { batchRecords: 10 });
  await reached(ledger, 'a', 25);
  await feed.stop();
  t.strictSame(first.batches, [seqs(1, 10), seqs(11, 20), seqs(21, 25)]);
  t.match(feed.state(), { name: 'a', cursor: 25, written: 25, failures: 0, lastError: null });
  await ledger.commit([entry({ seqs: seqs(26, 28) })]);
  const second = memory();
  const again = await start('a', second, { batchRecords: 10 });
  await reached(ledger, 'a', 28);
  await again.stop();
  t.strictSame(second.batches, [[26, 27, 28]]);
});

t.test('a notification is faster than the poll; without one the poll finds the records', async (t) => {
  const { ledger, start } = await fresh(t);
  const sink = memory();
  const manual = new ManualClock();
  const feed = await start('a', sink, { clock: manual });
  await until('the feed waits for its poll', () => manual.isDueIn(POLL_MS));
  await ledger.commit([entry({ seqs: [1] })]);
  feed.notify();
  await until('the notification is followed, with the clock stopped', () => sink.batches.length === 1);
  await until('the feed waits again', () => feed.state().cursor === 1 && manual.isDueIn(POLL_MS));
  await ledger.commit([entry({ seqs: [2] })]);
  manual.advance(POLL_MS - 1);
  t.equal(sink.batches.length, 1);
  manual.advance(1);
  await until('the poll finds the record', () => sink.batches.length === 2);
  t.strictSame(sink.batches, [[1], [2]]);
});

t.test('a notification during a write is not lost', async (t) => {
  const { ledger, start } = await fresh(t);
  const sink = memory();
  const write = sink.write;
  const notifying: FeedSink = {
    ...sink,
    async write(records, move) {
      if (sink.batches.length === 0) {
        await ledger.commit([entry({ seqs: [2] })]);
        feed.notify();
      }
      return write(records, move);
    },
  };
  await ledger.commit([entry({ seqs: [1] })]);
  const feed = await start('a', notifying, { clock: new ManualClock() });
  await until('the second batch comes, with the clock stopped', () => sink.batches.length === 2);
  t.strictSame(sink.batches, [[1], [2]]);
});

t.test('a feed that is down holds up no other, and catches up when it is back', async (t) => {
  const { folder, events, ledger, start } = await fresh(t);
  const late = join(folder, 'late', 'records.ndjson');
  const broken = await start('broken', file(late));
  const working = await start('working', file(join(folder, 'records.ndjson')));
  await ledger.commit([entry({ seqs: seqs(1, 20) })]);
  broken.notify();
  working.notify();
  await reached(ledger, 'working', 20);
  t.strictSame(offsetsIn(join(folder, 'records.ndjson')), seqs(1, 20));
  await until('the broken feed fails', () => broken.state().failures > 0);
  t.match(broken.state(), { cursor: 0, lastError: /ENOENT/ });
  mkdirSync(join(folder, 'late'));
  await reached(ledger, 'broken', 20);
  t.strictSame(offsetsIn(late), seqs(1, 20));
  await until('the error is forgotten', () => broken.state().lastError === null);
  t.match(events, ['feed.failed']);
  t.equal(events.at(-1), 'feed.recovered');
});

t.test('stop lets a batch in hand finish, is idempotent, and ends a feed in backoff at once', async (t) => {
  const { folder, ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  let release: () => void = () => undefined;
  const slow = await start('slow', {
    write: (records) => new Promise((resolve) => (release = () => resolve(records.length))),
    close: () => Promise.resolve(),
  });
  const failing = await start('failing', file(join(folder, 'none', 'records.ndjson')), {
    clock: new ManualClock(),
  });
  await until('the failing feed is in its pause', () => failing.state().failures > 0);
  await Promise.all([failing.stop(), failing.stop()]);
  const stopped = slow.stop();
  release();
  await stopped;
  t.equal((await ledger.loadFeedPosition('slow')).offset, 3, 'no repeats after a clean stop');
});

t.test('stop does not wait for ever for a destination that is stuck', async (t) => {
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  let abandon: (reason: Error) => void = () => undefined;
  let writing: boolean = false;
  const stuck: FeedSink = {
    write: () => {
      writing = true;
      return new Promise((_, reject) => (abandon = reject));
    },
    async close() {
      abandon(new Error('closed'));
    },
  };
  const manual = new ManualClock();
  const feed = await start('stuck', stuck, { clock: manual });
  await until('the write begins', () => writing);
  const stopped = feed.stop();
  t.ok(manual.isDueIn(STOP_GRACE_MS), 'the write may still finish');
  manual.advance(STOP_GRACE_MS);
  await stopped;
  t.equal((await ledger.loadFeedPosition('stuck')).offset, 0);
});

t.test('a position that is set from outside is followed, also by a feed that cannot get on', async (t) => {
  const { events, ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: seqs(1, 30) })]);
  const sink = memory();
  const write = sink.write;
  const feed = await start(
    'a',
    {
      ...sink,
      async write(records, move) {
        if (records[0]?.offset === 11) throw new Error('record 11 is refused');
        return write(records, move);
      },
    },
    { batchRecords: 10 },
  );
  await until('record 11 is refused', () => feed.state().failures > 0);
  t.match(feed.state(), { phase: 'retrying', cursor: 10 });
  await ledger.resetFeedPosition('a', 12);
  await reached(ledger, 'a', 30);
  t.strictSame(sink.batches, [seqs(1, 10), seqs(13, 22), seqs(23, 30)]);
  await until('the feed follows again', () => feed.state().phase === 'following');
  t.equal(events.at(-1), 'feed.recovered');
  await ledger.resetFeedPosition('a', 28);
  await until('the idle feed goes back, without a new record', () => sink.batches.length >= 4);
  await reached(ledger, 'a', 30);
  t.strictSame(sink.batches.slice(3), [[29, 30]]);
});

t.test('the lag is that of the first record that was not handed over', async (t) => {
  const { ledger } = await fresh(t);
  const lag = async () => (await feedLags([{ name: 'a' }], ledger, clock)).get('a');
  t.strictSame(await lag(), { offset: 0, records: 0, seconds: 0 });
  const now = clock.wallMs();
  await ledger.commit([entry({ seqs: [1] }, 'aws', now - 60_000)]);
  await ledger.commit([entry({ seqs: [2, 3] }, 'aws', now - 10_000)]);
  await ledger.resetFeedPosition('a', 1);
  const { seconds = 0, ...rest } = (await lag()) ?? {};
  t.strictSame(rest, { offset: 1, records: 2 });
  t.ok(seconds >= 9.9 && seconds < 30, `${seconds} s`);
  const registry = new Registry();
  const feed = new Feed({ name: 'a', ledger, sink: memory(), clock, entropy, log: silent });
  registerFeeds(registry, { feeds: [feed], ledger, clock });
  const text = await registry.metrics();
  t.match(text, /^headgate_router_feed_lag_records\{feed="a"\} 2$/m);
  t.match(text, /^headgate_router_feed_lag_seconds\{feed="a"\} \d/m);
  t.match(text, /^headgate_router_feed_running\{feed="a"\} 0$/m);
  t.match(text, /^headgate_router_feed_failures_total\{feed="a"\} 0$/m);
});

t.test('a refused record is found and named, and what stands before it is delivered', async (t) => {
  const { events, ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: seqs(1, 400) })]);
  const sink = memory();
  const write = sink.write;
  const sizes: number[] = [];
  const picky: FeedSink = {
    ...sink,
    async write(records, move) {
      sizes.push(records.length);
      if (records.some(({ seq }) => seq === 150 || seq === 300))
        throw new DeliveryError('no room for it', { refusal: 'certain' });
      return write(records, move);
    },
  };
  const manual = new ManualClock();
  const feed = await start('a', picky, { clock: manual });
  await until('the record stands alone', () => feed.state().refused !== null);
  t.match(feed.state(), {
    cursor: 149,
    phase: 'retrying',
    lastError: 'no room for it',
    refused: { id: 'gw-1/1-aa/telemetry/150', offset: 150, error: 'no room for it' },
  });
  t.ok(sizes.length <= 20, `${sizes.length} writes, with the clock stopped`);
  t.equal(sizes.at(-1), 1);
  t.equal((await ledger.loadFeedPosition('a')).offset, 149);
  t.strictSame(events.filter((event) => event === 'feed.record_refused').length, 1);
  const from = await ledger.loadFeedPosition('a');
  t.ok(await ledger.moveFeedPosition('a', from, { ...from, offset: 150 }));
  await asTimePasses(manual, 1000, 'the second one is found', () => feed.state().refused?.offset === 300);
  await ledger.resetFeedPosition('a', 300);
  await asTimePasses(manual, 1000, 'the feed is at the end', () => feed.state().cursor === 400);
  t.equal(feed.state().refused, null);
  t.strictSame(
    sink.batches.flat(),
    seqs(1, 400).filter((seq) => seq !== 150 && seq !== 300),
    'each other record, once',
  );
});

t.test('a write that fails without a word is halved after three tries', async (t) => {
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: seqs(1, 40) })]);
  const sink = memory();
  const write = sink.write;
  const crashing: FeedSink = {
    ...sink,
    async write(records, move) {
      if (records.some(({ seq }) => seq === 7)) throw new DeliveryError('lost', { refusal: 'suspected' });
      return write(records, move);
    },
  };
  const manual = new ManualClock();
  const feed = await start('a', crashing, { clock: manual });
  await asTimePasses(manual, 1000, 'the record stands alone', () => feed.state().refused !== null);
  t.match(feed.state(), { cursor: 6, refused: { offset: 7, error: 'lost' } });
});

t.test('a reset ends the pause of a feed that cannot get on', async (t) => {
  const { ledger, start } = await fresh(t);
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  const sink = memory();
  const write = sink.write;
  const late: FeedSink = {
    ...sink,
    async write(records, move) {
      if (records[0]?.offset === 1) throw new DeliveryError('later', { retryAfterMs: 3_600_000 });
      return write(records, move);
    },
  };
  const manual = new ManualClock();
  const feed = await start('a', late, { clock: manual });
  await until('the feed is in its pause', () => manual.isDueIn(1000));
  await ledger.resetFeedPosition('a', 1);
  manual.advance(1000);
  await until('the rest is delivered, an hour before its time', () => feed.state().cursor === 3);
  t.strictSame(sink.batches, [[2, 3]]);
});

t.test(
  'a destination that is silent is reported before its deadline, and forgotten when it answers',
  async (t) => {
    const { ledger, start } = await fresh(t);
    await ledger.commit([entry({ seqs: [1] })]);
    let release: () => void = () => undefined;
    let isWriting: boolean = false;
    const silent: FeedSink = {
      write: (records) => {
        isWriting = true;
        return new Promise((resolve) => (release = () => resolve(records.length)));
      },
      close: () => Promise.resolve(),
    };
    const manual = new ManualClock();
    const feed = await start('a', silent, { clock: manual });
    await until('the write begins', () => isWriting);
    manual.advance(9000);
    t.match(feed.state(), { phase: 'retrying', lastError: 'no answer for 9 s' });
    release();
    await until('the answer counts', () => feed.state().cursor === 1);
    t.match(feed.state(), { phase: 'following', lastError: null });
  },
);

t.test('an idle destination that goes away is noticed, and its return too', async (t) => {
  const { events, start } = await fresh(t);
  let isThere: boolean = true;
  const checked: FeedSink = {
    ...memory(),
    async check() {
      if (!isThere) throw new Error('gone for lunch');
    },
  };
  const manual = new ManualClock();
  const feed = await start('a', checked, { clock: manual });
  await until('the feed waits', () => manual.isDueIn(1000));
  isThere = false;
  await asTimePasses(
    manual,
    500,
    'the absence is noticed',
    () => feed.state().lastError === 'gone for lunch',
  );
  t.ok(manual.monoMs() <= 10_000, `after ${manual.monoMs()} ms`);
  isThere = true;
  await asTimePasses(manual, 500, 'the return is noticed', () => feed.state().lastError === null);
  t.equal(events.at(-1), 'feed.recovered');
});
