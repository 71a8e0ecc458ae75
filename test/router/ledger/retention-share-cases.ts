/** Beyond `max_bytes` the gateways that hold most give up their own oldest records. Part of the contract. */
import type { Test } from 'tap';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import type { LedgerMaintenance } from '../../../router/ledger/maintenance.ts';
import { retentionRules } from '../../../router/ledger/options.ts';
import { type RetentionRules, storedBytes } from '../../../router/ledger/rules/retention.ts';
import { systemClock } from '../../../shared/clock.ts';
import type { LedgerEngine } from './engine.ts';
import { entry, record, seqs } from './envelopes.ts';
import { freshWithMaintenance } from './fresh.ts';
import { byName } from './model.ts';

const HOUR_MS = 3_600_000;
const TEXT = 'x'.repeat(40);
/** The bytes of an envelope with one record of TEXT. */
const ONE = storedBytes([record(1, TEXT)]);

export function retentionShareCases(t: Test, engine: LedgerEngine): void {
  t.test(
    'a flood of one gateway pushes out its own records, and their ids stay known (I5, I10)',
    async (t) => {
      const { ledger, maintenance } = await freshWithMaintenance(t, engine);
      const nowMs = systemClock.wallMs();
      for (const hour of [50, 40, 30]) await one(ledger, 'quiet', 60 - hour, nowMs - hour * HOUR_MS);
      for (const seq of seqs(1, 30)) await one(ledger, 'flood', seq, nowMs - (32 - seq) * HOUR_MS);
      t.equal(await retain(maintenance, limited(20), nowMs), 13);
      t.strictSame(await held(ledger), ['flood 14-30', 'quiet 10', 'quiet 20', 'quiet 30']);
      t.match(
        await ledger.commit([entry({ gateway: 'flood', seqs: seqs(1, 31), text: TEXT }, 'gcp', nowMs)]),
        [{ new: 1, duplicate: 30 }],
      );
      await retain(maintenance, limited(20), nowMs);
      t.strictSame(await held(ledger), ['flood 15-31', 'quiet 10', 'quiet 20', 'quiet 30']);
      await same(t, ledger, maintenance);
      t.strictSame(await maintenance.storedBytes(1), {
        total: 20 * ONE,
        gateways: [{ gateway: 'flood', bytes: 17 * ONE }],
      });
      t.match(await ledger.completeness('flood'), [{ completeTo: 31, withdrawn: { retention: 14 } }]);
    },
  );

  t.test('the largest come down to one level, in many steps', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const nowMs = systemClock.wallMs();
    const sizes = { a: 500, b: 700, c: 90, d: 450 };
    for (const [gateway, size] of Object.entries(sizes)) {
      await ledger.commit(seqs(1, size).map((seq) => sketch(gateway, seq, nowMs - 5 * HOUR_MS)));
    }
    t.equal(await retain(maintenance, limited(990), nowMs), 750);
    t.strictSame(await held(ledger), ['a 201-500', 'b 401-700', 'c 1-90', 'd 151-450']);
    await same(t, ledger, maintenance);
  });

  t.test('a flood in the running hour takes nothing from others, and leaves with its hour', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const nowMs = systemClock.wallMs();
    for (const seq of seqs(1, 3)) await one(ledger, 'quiet', seq, nowMs - 9 * HOUR_MS);
    for (const seq of seqs(1, 20)) await one(ledger, 'flood', seq, nowMs);
    t.equal(await retain(maintenance, limited(10), nowMs), 0);
    t.equal(await retain(maintenance, limited(10), nowMs + HOUR_MS), 13);
    t.strictSame(await held(ledger), ['flood 14-20', 'quiet 1-3']);
  });

  t.test("a gateway gives up its oldest of all the rule's streams, and none of another rule", async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const nowMs = systemClock.wallMs();
    const rules = retentionRules.parse([
      { streams: 'alarms', max_age: '30d' },
      { streams: '*', max_bytes: `${4 * ONE}B` },
    ]);
    for (const [i, stream] of ['alarms', 'video', 'telemetry', 'video', 'alarms', 'telemetry'].entries()) {
      for (const seq of [2 * i + 1, 2 * i + 2]) {
        const text = { gateway: 'gw-1', stream, seqs: [seq], text: TEXT, epoch: `${i}-aa` };
        await ledger.commit([entry(text, 'aws', nowMs - (20 - i) * HOUR_MS)]);
      }
    }
    t.equal(await retain(maintenance, rules, nowMs), 4);
    t.strictSame(
      (await ledger.read(0, 99)).map(({ stream, seq }) => `${stream} ${seq}`),
      ['alarms 1', 'alarms 2', 'video 7', 'video 8', 'alarms 9', 'alarms 10', 'telemetry 11', 'telemetry 12'],
    );
    await same(t, ledger, maintenance);
  });

  t.test('age, erasure and a conflict take their bytes from the share', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine, { conflictPolicyOf: byName });
    const nowMs = systemClock.wallMs();
    const stream = 'last-write-wins';
    for (const hour of [30, 20, 3]) {
      const ids = seqs(100 - hour, 105 - hour);
      await ledger.commit([entry({ stream, seqs: ids, text: TEXT }, 'aws', nowMs - hour * HOUR_MS)]);
    }
    await retain(maintenance, limited(1000), nowMs);
    const whole = storedBytes(seqs(1, 6).map((seq) => record(seq, TEXT)));
    t.match(await maintenance.storedBytes(9), { total: 3 * whole });
    const aged = retentionRules.parse([{ streams: '*', max_age: '25h', max_bytes: '1MiB' }]);
    t.equal(await retain(maintenance, aged, nowMs), 6);
    t.match(await maintenance.storedBytes(9), { total: 2 * whole });
    await maintenance.erase({ device: 'device-1', gateway: null }, 'ann');
    const rest = storedBytes([0, 2, 3, 5].map((seq) => record(seq, TEXT)));
    await retain(maintenance, aged, nowMs);
    t.match(await maintenance.storedBytes(9), { total: 2 * rest, gateways: [{ bytes: 2 * rest }] });
    t.match(await ledger.commit([entry({ stream, seqs: [98, 99], text: 'y' }, 'gcp', nowMs)]), [
      { conflict: 2 },
    ]);
    t.match(await ledger.verify(), { problemCount: 0 });
    const few = retentionRules.parse([{ streams: '*', max_bytes: '1B' }]);
    await retain(maintenance, few, nowMs + HOUR_MS);
    t.strictSame(await ledger.read(0, 9), []);
    t.match(await maintenance.storedBytes(9), { total: 0, gateways: [] });
    t.match(await ledger.verify(), { problemCount: 0, records: 0 });
  });

  if (engine.withoutShares) upgradeCase(t, engine);

  t.test('what one step let go is not counted again after a start', async (t) => {
    const { ledger, maintenance, place } = await freshWithMaintenance(t, engine);
    const nowMs = systemClock.wallMs();
    const three = storedBytes([1, 2, 3].map((seq) => record(seq, TEXT)));
    const rules = retentionRules.parse([{ streams: '*', max_bytes: `${100 * three}B` }]);
    const envelope = (gateway: string, number: number, hour: number): ReturnType<typeof entry> => {
      const ids = seqs(3 * number - 2, 3 * number);
      return entry({ gateway, seqs: ids, text: TEXT }, 'aws', nowMs - hour * HOUR_MS);
    };
    await ledger.commit(seqs(1, 5).map((number) => envelope('quiet', number, 9)));
    for (const first of seqs(0, 8)) {
      const numbers = seqs(100 * first + 1, 100 * first + 100);
      await ledger.commit(numbers.map((number) => envelope('flood', number, 2)));
    }
    const { records } = await maintenance.retain(rules, nowMs);
    t.ok(records > 0 && records < 2415, `${records} in one step`);
    await ledger.close();
    const again = await engine.open(place);
    t.teardown(() => again.close());
    t.equal(records + (await retain(again.maintenance, rules, nowMs)), 2415);
    t.strictSame(await held(again), ['flood 2416-2700', 'quiet 1-15']);
    await same(t, again, again.maintenance);
    t.match(await again.maintenance.storedBytes(9), { total: 100 * three });
  });
}

function upgradeCase(t: Test, engine: LedgerEngine): void {
  t.test('after an upgrade the hours of before leave first, and take nothing from a share', async (t) => {
    const { ledger, place } = await freshWithMaintenance(t, engine);
    const nowMs = systemClock.wallMs();
    const hoursAgo = (hours: number): number => nowMs - hours * HOUR_MS;
    for (const seq of seqs(1, 4)) await one(ledger, 'quiet', seq, hoursAgo(20));
    for (const seq of seqs(1, 6)) await one(ledger, 'flood', seq, hoursAgo(10));
    await ledger.close();
    await engine.withoutShares?.(place);
    const again = await engine.open(place);
    t.teardown(() => again.close());
    const { maintenance } = again;
    for (const seq of seqs(5, 6)) await one(again, 'quiet', seq, hoursAgo(10));
    for (const seq of seqs(7, 16)) await one(again, 'flood', seq, hoursAgo(5));
    t.match(await again.verify(), { problemCount: 0, records: 22 });
    t.strictSame(await maintenance.storedBytes(9), {
      total: 22 * ONE,
      gateways: [
        { gateway: 'flood', bytes: 10 * ONE },
        { gateway: 'quiet', bytes: 2 * ONE },
      ],
    });
    t.equal(await retain(maintenance, limited(18), nowMs), 4, 'the oldest hour of before');
    t.strictSame(await held(again), ['flood 1-16', 'quiet 5-6']);
    t.equal(await retain(maintenance, limited(17), nowMs), 6, 'of a mixed hour, those of before');
    t.strictSame(await held(again), ['flood 7-16', 'quiet 5-6']);
    t.match(await maintenance.storedBytes(9), { total: 12 * ONE, gateways: [{ bytes: 10 * ONE }, {}] });
    t.equal(await retain(maintenance, limited(8), nowMs), 4);
    t.strictSame(await held(again), ['flood 11-16', 'quiet 5-6']);
    const aged = retentionRules.parse([{ streams: '*', max_age: '8h' }]);
    t.equal(await retain(maintenance, aged, nowMs), 2);
    t.match(await maintenance.storedBytes(9), { total: 6 * ONE });
    t.match(await again.verify(), { problemCount: 0, records: 6 });
  });
}

/** Records of ONE byte count each. */
function limited(records: number): RetentionRules {
  return retentionRules.parse([{ streams: '*', max_bytes: `${records * ONE}B` }]);
}

function sketch(gateway: string, seq: number, wallMs: number): ReturnType<typeof entry> {
  return entry({ gateway, seqs: [seq], text: TEXT }, 'aws', wallMs);
}

async function one(ledger: Ledger, gateway: string, seq: number, wallMs: number): Promise<void> {
  await ledger.commit([sketch(gateway, seq, wallMs)]);
}

/** Nothing more leaves, and the shares are those of the records. */
async function same(t: Test, ledger: Ledger, maintenance: LedgerMaintenance): Promise<void> {
  const before = await held(ledger);
  await retain(maintenance, limited(1_000_000), systemClock.wallMs());
  t.strictSame(await held(ledger), before);
  t.match(await ledger.verify(), { problemCount: 0 });
}

/** Steps to the end; how many records left. */
async function retain(maintenance: LedgerMaintenance, rules: RetentionRules, nowMs: number): Promise<number> {
  let left = 0;
  for (let steps = 0; steps < 200; steps += 1) {
    const { records, more } = await maintenance.retain(rules, nowMs);
    left += records;
    if (!more) return left;
  }
  throw new Error('the retention has no end');
}

/** The held records, as runs by gateway. */
async function held(ledger: Ledger): Promise<string[]> {
  const runs: { gateway: string; first: number; last: number }[] = [];
  const records = await ledger.read(0, 10_000);
  const key = ({ gateway, seq }: { gateway: string; seq: number }): string =>
    `${gateway} ${String(seq).padStart(6)}`;
  for (const { gateway, seq } of records.sort((a, b) => (key(a) < key(b) ? -1 : 1))) {
    const run = runs.at(-1);
    if (run?.gateway === gateway && run.last === seq - 1) run.last = seq;
    else runs.push({ gateway, first: seq, last: seq });
  }
  return runs.map(({ gateway, first, last }) => `${gateway} ${first}${last > first ? `-${last}` : ''}`);
}
