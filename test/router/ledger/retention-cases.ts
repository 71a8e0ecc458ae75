/** Records leave by age and size; their ids stay known (I5). Part of the contract. */
import type { Test } from 'tap';
import type { LedgerMaintenance } from '../../../router/ledger/maintenance.ts';
import { retentionRules } from '../../../router/ledger/options.ts';
import { type RetentionRules, storedBytes } from '../../../router/ledger/rules/retention.ts';
import { systemClock } from '../../../shared/clock.ts';
import type { LedgerEngine } from './engine.ts';
import { entry, gap, record, seqs } from './envelopes.ts';
import { freshWithMaintenance } from './fresh.ts';

const HOUR_MS = 3_600_000;

/** Steps to the end; how many records left. */
async function retain(maintenance: LedgerMaintenance, rules: RetentionRules, nowMs: number): Promise<number> {
  let left = 0;
  for (let steps = 0; steps < 100; steps += 1) {
    const { records, more } = await maintenance.retain(rules, nowMs);
    left += records;
    if (!more) return left;
  }
  throw new Error('the retention has no end');
}

export function retentionCases(t: Test, engine: LedgerEngine): void {
  t.test(
    'records older than their stream keeps leave; a late duplicate is still a duplicate (I5)',
    async (t) => {
      const { ledger, maintenance } = await freshWithMaintenance(t, engine);
      const nowMs = systemClock.wallMs();
      const rules = retentionRules.parse([
        { streams: 'tele*', max_age: '10h' },
        { streams: 'video', max_age: '30h' },
      ]);
      const ago = (hours: number) => nowMs - hours * HOUR_MS;
      for (const stream of ['telemetry', 'video', 'alarms']) {
        await ledger.commit([entry({ stream, seqs: [1, 2] }, 'aws', ago(40))]);
        await ledger.commit([entry({ stream, seqs: [4, 5], gaps: [gap(3, 3)] }, 'aws', ago(20))]);
        await ledger.commit([entry({ stream, seqs: [6, 7] }, 'aws', ago(1))]);
      }
      await ledger.commit([entry({ seqs: [1], text: 'forged' }, 'azure', nowMs)]);
      t.equal(await retain(maintenance, rules, nowMs), 6);
      const held = (await ledger.read(0, 100)).map(({ stream, seq }) => `${stream} ${seq}`);
      t.strictSame(
        held,
        [6, 7]
          .map((seq) => `telemetry ${seq}`)
          .concat(
            [4, 5, 6, 7].map((seq) => `video ${seq}`),
            [1, 2, 4, 5, 6, 7].map((seq) => `alarms ${seq}`),
          ),
      );
      const told = new Map((await ledger.completeness()).map((stream) => [stream.stream, stream]));
      t.match(told.get('telemetry'), {
        completeTo: 7,
        missingCount: 0,
        records: 6,
        withdrawn: { retention: 4 },
      });
      t.match(told.get('alarms'), { withdrawn: { retention: 0 } });
      t.strictSame(await ledger.conflicts(10), [], 'nor are the versions kept aside kept for ever');
      t.match(
        await ledger.commit([entry({ seqs: seqs(1, 7) }, 'aws', nowMs)]),
        [{ new: 1, duplicate: 6, conflict: 0 }],
        'a gap is no record',
      );
      t.match(await ledger.commit([entry({ seqs: [1, 4], text: 'other' })]), [{ duplicate: 2, conflict: 0 }]);
      t.match(await ledger.verify(), { problemCount: 0, records: 13 });
      t.equal(await retain(maintenance, rules, nowMs), 0, 'once');
    },
  );

  t.test('a stream that is too large gives up its oldest hours, never the running one (I10)', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const nowMs = systemClock.wallMs();
    const one = storedBytes([record(1, 'xx')]);
    const rules = retentionRules.parse([{ streams: '*', max_bytes: `${3 * one}B` }]);
    for (let hour = 5; hour >= 0; hour -= 1) {
      const seq = 6 - hour;
      await ledger.commit([entry({ seqs: [seq], text: 'xx' }, 'aws', nowMs - hour * HOUR_MS)]);
    }
    t.equal(await retain(maintenance, rules, nowMs), 3);
    t.match(await ledger.read(0, 10), [{ seq: 4 }, { seq: 5 }, { seq: 6 }]);
    await ledger.commit([entry({ seqs: [7], text: 'x'.repeat(one) }, 'aws', nowMs)]);
    t.equal(await retain(maintenance, rules, nowMs), 2);
    t.match(await ledger.read(0, 10), [{ seq: 6 }, { seq: 7 }]);
    t.match(await ledger.completeness(), [{ completeTo: 7, withdrawn: { retention: 5 } }]);
  });

  t.test('offsets go on after everything has left, and feeds go on after holes', async (t) => {
    const { ledger, maintenance, place } = await freshWithMaintenance(t, engine);
    const nowMs = systemClock.wallMs();
    const rules = retentionRules.parse([{ streams: '*', max_age: '10h' }]);
    await ledger.commit([entry({ seqs: seqs(1, 300), sealedAt: 300 }, 'aws', nowMs - 20 * HOUR_MS)]);
    t.equal(await retain(maintenance, rules, nowMs), 300);
    t.strictSame(await ledger.read(0, 10), []);
    await ledger.close();
    const again = await engine.open(place);
    t.teardown(() => again.close());
    await again.commit([entry({ epoch: '2-bb', seqs: [1] }, 'aws', nowMs)]);
    t.match(await again.read(0, 10), [{ offset: 301, epoch: '2-bb' }]);
    t.match(await again.totals(), { records: 301 });
    t.match(
      await again.commit([entry({ seqs: seqs(1, 300) })]),
      [{ new: 0, duplicate: 300 }],
      'of a closed epoch',
    );
    t.match(await again.completeness(), [
      { completeTo: 300, sealedAt: 300, withdrawn: { retention: 300 } },
      {},
    ]);
    t.match(await again.verify(), { problemCount: 0 });
  });

  t.test('what is let go in many steps beside commits is let go once', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const nowMs = systemClock.wallMs();
    const rules = retentionRules.parse([{ streams: '*', max_age: '10h' }]);
    const old = seqs(1, 600).map((seq) =>
      entry({ gateway: `gw-${seq % 7}`, seqs: [seq, seq + 1000] }, 'aws', nowMs - (20 + (seq % 3)) * HOUR_MS),
    );
    await ledger.commit(old);
    const committing = (async () => {
      for (let i = 0; i < 20; i += 1)
        await ledger.commit([entry({ gateway: `gw-${i % 7}`, seqs: [5000 + i, i + 1] }, 'azure', nowMs)]);
    })();
    t.equal(await retain(maintenance, rules, nowMs), 1200);
    await committing;
    t.equal((await ledger.read(0, 100)).filter(({ seq }) => seq >= 5000).length, 20);
    t.match(await ledger.verify(), { problemCount: 0 });
  });
}
