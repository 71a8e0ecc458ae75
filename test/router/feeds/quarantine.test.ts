/** Records that a destination refuses again and again: passed over, listed, sent again when asked for. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Feed, type FeedOptions } from '../../../router/feeds/feed.ts';
import { QUARANTINED_MAX, Quarantine } from '../../../router/feeds/quarantine.ts';
import { DeliveryError, type FeedSink, type Refusal } from '../../../router/feeds/sink.ts';
import { WebhookSink, webhookFeedOptions } from '../../../router/feeds/sinks/webhook.ts';
import { retentionRules } from '../../../router/ledger/options.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { asTimePasses } from '../../until.ts';
import { entry, seqs } from '../ledger/envelopes.ts';
import { receiver } from './sinks/receiver.ts';

async function fresh(t: Test) {
  const events: string[] = [];
  const log = createLogger(
    { level: 'info', levels: {} },
    { write: (line) => void events.push(JSON.parse(line).event) },
  );
  const clock = new ManualClock(1_700_000_000_000);
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  const start = async (sink: FeedSink, rest: Partial<FeedOptions> = {}): Promise<Feed> => {
    const feed = new Feed({ name: 'a', ledger, sink, clock, entropy, log, quarantineAfter: 4, ...rest });
    await feed.start();
    t.teardown(() => feed.stop());
    return feed;
  };
  const passing = (what: string, condition: () => boolean): Promise<unknown> =>
    asTimePasses(clock, 30_000, what, condition);
  return { events, ledger, start, passing, list: new Quarantine(ledger, 'a') };
}

/** Refuses writes with one of `bad`; in `taken`, what it has, in its order. */
function picky(refusal: Refusal, bad: Set<number>): FeedSink & { taken: number[]; writes: number } {
  const sink = {
    taken: [] as number[],
    writes: 0,
    async write(records: Parameters<FeedSink['write']>[0]): Promise<number> {
      sink.writes += 1;
      if (records.some(({ seq }) => bad.has(seq))) throw new DeliveryError('not this one', { refusal });
      sink.taken.push(...records.map(({ seq }) => seq));
      return records.length;
    },
    close: () => Promise.resolve(),
  };
  return sink;
}

for (const refusal of ['certain', 'suspected'] as const) {
  for (const holdBack of [null, { recordsMax: 100, maxWaitMs: 60_000 }]) {
    const order = holdBack === null ? 'by offset' : 'by stream';
    t.test(`a record that is refused four times is passed over (${refusal}, ${order})`, async (t) => {
      const { events, ledger, start, passing, list } = await fresh(t);
      await ledger.commit([entry({ seqs: seqs(1, 40) })]);
      const bad = new Set([7]);
      const sink = picky(refusal, bad);
      const feed = await start(sink, { holdBack });
      await passing('the others are delivered', () => feed.state().cursor === 40);
      const others = seqs(1, 40).filter((seq) => seq !== 7);
      t.strictSame([...new Set(sink.taken)], others);
      t.match(await list.load(), [
        { offset: 7, id: 'gw-1/1-aa/telemetry/7', tries: 4, error: 'not this one' },
      ]);
      t.match(feed.state(), { refused: null, quarantined: 1 });
      t.equal(events.filter((event) => event === 'feed.record_quarantined').length, 1);
      await feed.stop();
      const again = await start(sink, { holdBack });
      const before = sink.writes;
      await ledger.commit([entry({ seqs: [41] })]);
      await passing('the next run goes on behind it', () => again.state().cursor === 41);
      t.equal(sink.writes, before + 1);
      await list.replace(7, (one) => ({ ...one, isDue: true }));
      await passing('it is tried again', () => events.includes('feed.quarantine_stays'));
      t.match(await list.load(), [{ tries: 5, isDue: false }]);
      bad.clear();
      await list.replace(7, (one) => ({ ...one, isDue: true }));
      await passing('it is delivered', () => again.state().quarantined === 0);
      t.equal(sink.taken.at(-1), 7);
      t.strictSame(await list.load(), []);
      t.match(again.state(), { cursor: 41, lastError: null });
    });
  }
}

t.test('a record that has left the ledger leaves the list, and no other goes in its place', async (t) => {
  const { ledger, start, passing, list } = await fresh(t);
  await ledger.commit([entry({ seqs: seqs(1, 3) }, 'aws', 0)]);
  const sink = picky('certain', new Set([3]));
  const feed = await start(sink);
  await passing('it is in quarantine', () => feed.state().quarantined === 1);
  const nowMs = systemClock.wallMs();
  await ledger.commit([entry({ seqs: [4] }, 'aws', nowMs)]);
  await passing('the feed is behind all', () => feed.state().cursor === 4);
  const rules = retentionRules.parse([{ streams: '*', max_age: '10h' }]);
  while ((await ledger.maintenance.retain(rules, nowMs)).more);
  t.match(await ledger.read(0, 9), [{ seq: 4 }]);
  await list.replace(3, (one) => ({ ...one, isDue: true }));
  await passing('it leaves the list', () => feed.state().quarantined === 0);
  t.strictSame(sink.taken, [1, 2, 4]);
});

t.test('a destination that takes nothing is waited for: no record is at fault', async (t) => {
  const { ledger, start, passing, list } = await fresh(t);
  await ledger.commit([entry({ seqs: seqs(1, 5) })]);
  const bad = new Set(seqs(1, 5));
  const sink = picky('suspected', bad);
  const feed = await start(sink);
  await passing('many tries', () => (feed.state().refused?.tries ?? 0) > 8);
  t.strictSame(await list.load(), []);
  bad.clear();
  await passing('it is back', () => feed.state().cursor === 5);
  t.strictSame(sink.taken, seqs(1, 5));
});

t.test('without the rule, and with a full list, the feed is held up, and says so', async (t) => {
  const { events, ledger, start, passing, list } = await fresh(t);
  await ledger.commit([entry({ seqs: [1] })]);
  const held = await start(picky('certain', new Set([1])), { quarantineAfter: null });
  await passing('many tries', () => (held.state().refused?.tries ?? 0) > 8);
  t.match(held.state(), { cursor: 0, refused: { offset: 1 } });
  await held.stop();
  const [first] = await ledger.read(0, 1);
  if (first === undefined) throw new Error('no record');
  const refused = { error: 'no', tries: 4, wallMs: 0 };
  const entries = seqs(1001, 1000 + QUARANTINED_MAX).map((offset) => ({
    ...refused,
    offset,
    id: '',
    isDue: false,
  }));
  await ledger.replaceCheckpoint('feed:a', 'quarantine', null, JSON.stringify(entries));
  t.notOk(await list.add(first, refused));
  const feed = await start(picky('certain', new Set([1])));
  await passing('the list is full', () => events.includes('feed.quarantine_full'));
  t.match(feed.state(), { cursor: 0, refused: { offset: 1 }, quarantined: QUARANTINED_MAX });
  await list.replace(1001, (one) => ({ ...one, isDue: true }));
  await passing('one has left the ledger, and makes room', () => feed.state().cursor === 1);
  t.match((await list.load()).at(-1), { offset: 1 });
});

t.test('a real receiver that refuses one record with 422 gets all others, and later that one', async (t) => {
  const { ledger, start, passing, list } = await fresh(t);
  const got: number[] = [];
  let isPicky: boolean = true;
  const { port } = await receiver(t, (_nth, body) => {
    const sent: number[] = JSON.parse(body).data.records.map(({ seq }: { seq: number }) => seq);
    if (isPicky && sent.includes(3)) return { status: 422 };
    got.push(...sent);
    return { status: 204 };
  });
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const url = `http://127.0.0.1:${port}/hook`;
  const sink = new WebhookSink(webhookFeedOptions.parse({ secret, url }), systemClock);
  await ledger.commit([entry({ seqs: seqs(1, 6) })]);
  const feed = await start(sink);
  await passing('the others arrive', () => feed.state().cursor === 6);
  t.strictSame(got, [1, 2, 4, 5, 6]);
  t.match(await list.load(), [{ offset: 3, error: /422/ }]);
  isPicky = false;
  await list.replace(3, (one) => ({ ...one, isDue: true }));
  await passing('it arrives', () => feed.state().quarantined === 0);
  t.strictSame(got, [1, 2, 4, 5, 6, 3]);
});
