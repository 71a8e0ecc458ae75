/** Receipts over a real ledger: when one is due, and which version it has. */

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { Receipts } from '../../../router/receipts/receipts.ts';
import type { Clock } from '../../../shared/clock.ts';
import { type Receipt, receiptJson } from '../../../shared/receipt.ts';
import { deps } from '../../loopback/gcp-support.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { asTimePasses, until } from '../../until.ts';
import { type EnvelopeSketch, envelope } from '../ledger/envelopes.ts';

const INTERVAL_MS = 100;
const clock = new ManualClock(1_700_000_000_000);

/** The answer, with time passing while it waits. */
async function passing<T>(answer: Promise<T>): Promise<T> {
  let over: boolean = false;
  const settled = answer.finally(() => {
    over = true;
  });
  await Promise.all([
    settled.catch(() => undefined),
    asTimePasses(clock, 10, 'the answer comes', () => over),
  ]);
  return settled;
}

async function fresh(t: Test) {
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), ...deps });
  t.teardown(() => ledger.close());
  let asked = 0;
  const counted = {
    completeness: (gateway?: string) => {
      asked += 1;
      return ledger.completeness(gateway);
    },
  };
  const router = (
    wallMs = (): number => clock.wallMs(),
    unverifiedCount = (): boolean | null => null,
  ): Receipts =>
    new Receipts({ ledger: counted, clock: withWall(wallMs), intervalMs: INTERVAL_MS, unverifiedCount });
  const commit = async (sketch: EnvelopeSketch, receipts: Receipts): Promise<void> => {
    const content = envelope(sketch);
    const { verified = true } = sketch;
    await ledger.commit([{ envelope: content, source: 'aws', receivedWallMs: 1, verified }]);
    receipts.committed([content]);
  };
  return { ledger, router, commit, asked: () => asked };
}

function within(bytesMax: number): (one: Receipt) => boolean {
  return (one) => JSON.stringify({ receipt: receiptJson(one) }).length <= bytesMax;
}

/** The same clock with another wall time. */
function withWall(wallMs: () => number): Clock {
  return {
    monoMs: () => clock.monoMs(),
    wallMs,
    setTimer: (delayMs, run) => clock.setTimer(delayMs, run),
    every: (periodMs, run) => clock.every(periodMs, run),
    sleep: (delayMs, signal) => clock.sleep(delayMs, signal),
  };
}

const never = new AbortController().signal;

t.test('the first answer is what is there; then only news, at most one in an interval', async (t) => {
  const { router, commit, asked } = await fresh(t);
  const receipts = router();
  await commit({ seqs: [1, 2] }, receipts);
  const first = await passing(receipts.next('gw-1', 0, 5000, never));
  t.match(first, { gateway: 'gw-1', streams: [{ to: 2, missing: [] }] });
  if (!first) return;
  t.equal(await passing(receipts.next('gw-1', first.version, 150, never)), null, 'nothing new');
  await commit({ seqs: [1, 2] }, receipts);
  t.equal(await passing(receipts.next('gw-1', first.version, 150, never)), null, 'a duplicate is no news');
  const askedBefore = asked();
  const second = receipts.next('gw-1', first.version, 5000, never);
  for (let seq = 3; seq <= 30; seq++) await commit({ seqs: [seq] }, receipts);
  const news = await passing(second);
  t.ok((news?.version ?? 0) > first.version);
  t.ok(asked() - askedBefore <= 4, `${asked() - askedBefore} questions for 28 commits (I10)`);
  const startMs = clock.monoMs();
  const last = await passing(receipts.next('gw-1', news?.version ?? 0, 500, never));
  t.match(last ?? news, { streams: [{ to: 30 }] });
  if (last) t.ok(clock.monoMs() - startMs >= INTERVAL_MS, 'not at once');
  t.equal(receipts.waiting, 0);
});

t.test('who waits is answered by a commit, and let go by its signal', async (t) => {
  const { router, commit } = await fresh(t);
  const receipts = router();
  const empty = await passing(receipts.next('gw-1', 0, 1000, never));
  t.match(empty, { streams: [] }, 'a gateway that nothing is known of is told so');
  const waiting = receipts.next('gw-1', empty?.version ?? 0, 10_000, never);
  clock.advance(INTERVAL_MS);
  await until('the gateway waits', () => receipts.waiting === 1);
  await commit({ gateway: 'gw-2', seqs: [1] }, receipts);
  await commit({ seqs: [1] }, receipts);
  t.match(await passing(waiting), { gateway: 'gw-1', streams: [{ to: 1 }] });
  const gone = new AbortController();
  const left = receipts.next('gw-1', Number.MAX_SAFE_INTEGER - 1, 10_000, gone.signal);
  gone.abort();
  await left;
  t.equal(receipts.waiting, 0);
});

t.test(
  'a commit by another router on the same ledger is seen at the latest when the wait is over',
  async (t) => {
    const { router, commit } = await fresh(t);
    const [one, other] = [router(), router()];
    const first = await passing(one.next('gw-1', 0, 1000, never));
    const waiting = one.next('gw-1', first?.version ?? 0, 400, never);
    await commit({ seqs: [1] }, other);
    t.match(await passing(waiting), { streams: [{ to: 1 }] });
  },
);

t.test('versions grow: over a restart, with the clock set back, and from router to router', async (t) => {
  const { router, commit } = await fresh(t);
  const before = router();
  await commit({ seqs: [1] }, before);
  const first = await passing(before.next('gw-1', 0, 1000, never));
  const version = first?.version ?? 0;
  t.ok(version > 1.7e12, 'the wall clock');
  const restarted = router(() => 5);
  await commit({ seqs: [2] }, restarted);
  const second = await passing(restarted.next('gw-1', version, 1000, never));
  t.ok((second?.version ?? 0) > version);
  t.match(second, { streams: [{ to: 2 }] });
  await commit({ seqs: [3] }, restarted);
  const third = await passing(restarted.next('gw-1', second?.version ?? 0, 1000, never));
  t.ok((third?.version ?? 0) > (second?.version ?? 0));
  await commit({ seqs: [4] }, before);
  const fourth = await passing(before.next('gw-1', (third?.version ?? 0) + 1e12, 1000, never));
  t.ok((fourth?.version ?? 0) > (third?.version ?? 0) + 1e12, 'past what the gateway has');
  t.match(fourth, { streams: [{ to: 4 }] });
});

t.test('a ledger that does not answer is told, and asked again', async (t) => {
  const answers = [() => Promise.reject(new Error('down')), () => Promise.resolve([])];
  const ledger = { completeness: async () => answers.shift()?.() ?? [] };
  const receipts = new Receipts({ ledger, clock, intervalMs: 10 });
  await t.rejects(passing(receipts.next('gw-1', 0, 100, never)), /down/);
  t.match(await passing(receipts.next('gw-1', 0, 1000, never)), { streams: [] });
});

t.test(
  'one that is cut for a cloud gives way to the whole one, and follows the whole one before',
  async (t) => {
    const { router, commit } = await fresh(t);
    const receipts = router(() => 1);
    await commit({ seqs: [1] }, receipts);
    const before = await passing(receipts.next('gw-1', 0, 1000, never));
    await commit({ seqs: [3, 5, 7, 9] }, receipts);
    const cut = await passing(receipts.current('gw-1', within(170), never));
    const whole = await passing(receipts.current('gw-1', within(10_000), never));
    t.match(cut, { streams: [{ to: 4 }] });
    t.match(whole, { streams: [{ to: 9 }] });
    t.ok(before && cut && whole && before.version < cut.version && cut.version < whole.version);
    t.match(
      await passing(receipts.next('gw-1', cut?.version ?? 0, 1000, never)),
      whole,
      'the long poll brings it too',
    );
  },
);

t.test(
  'for a gateway that signs, a record that only an unverified envelope brought is missing',
  async (t) => {
    const { router, commit } = await fresh(t);
    const receipts = router();
    await commit({ seqs: [1, 2, 3, 4], verified: false }, receipts);
    const before = await passing(receipts.next('gw-1', 0, 5000, never));
    t.match(before, { streams: [{ to: 4, missing: [] }] }, 'it counts for one that has never signed');
    await commit({ epoch: '2-bb', seqs: [1] }, receipts);
    const after = await passing(receipts.next('gw-1', before?.version ?? 0, 5000, never));
    t.match(after, {
      streams: [
        { epoch: '1-aa', to: 0, missing: [] },
        { epoch: '2-bb', to: 1 },
      ],
    });
    await commit({ seqs: [2, 4], text: 'genuine' }, receipts);
    const proven = await passing(receipts.next('gw-1', after?.version ?? 0, 5000, never));
    const missing = [
      { first: 1, last: 1 },
      { first: 3, last: 3 },
    ];
    t.match(proven, { streams: [{ to: 4, missing }, { to: 1 }] });
    const told = router(undefined, () => true);
    t.match(await passing(told.next('gw-1', 0, 5000, never)), { streams: [{ to: 4, missing: [] }, {}] });
    await commit({ gateway: 'gw-2', seqs: [1], verified: false }, receipts);
    const closed = router(undefined, () => false);
    t.match(await passing(closed.next('gw-2', 0, 5000, never)), { streams: [{ to: 0 }] });
  },
);
