/** Which sources brought a record (I6). Part of the contract. */
import type { Test } from 'tap';
import { retentionRules } from '../../../router/ledger/options.ts';
import type { SendReason } from '../../../shared/envelope/send-reason.ts';
import type { LedgerEngine } from './engine.ts';
import { entry, gap, seqs } from './envelopes.ts';
import { freshWithMaintenance } from './fresh.ts';
import { byName } from './model.ts';

const KEY = { gateway: 'gw-1', epoch: '1-aa', stream: 'telemetry' };

export function whereaboutsCases(t: Test, engine: LedgerEngine): void {
  t.test('every source that brought a record is known, and why it came again', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const where = (seq: number) => maintenance.where({ ...KEY, seq });
    t.strictSame(await where(1), {
      ...KEY,
      seq: 1,
      state: 'never-seen',
      offset: null,
      first: null,
      again: [],
      aside: [],
    });
    await ledger.commit([
      entry({ seqs: seqs(1, 5), gaps: [gap(7, 7, 'age')] }, 'aws', 10),
      entry({ seqs: [4, 5] }, 'gcp', 20),
    ]);
    await ledger.commit([{ ...entry({ seqs: seqs(2, 4) }, 'aws', 30), redelivered: true }]);
    await ledger.commit([entry({ seqs: [4] }, 'aws', 40), entry({ seqs: [4], text: 'forged' }, 'hub', 50)]);
    t.strictSame(await where(4), {
      ...KEY,
      seq: 4,
      state: 'held',
      offset: 4,
      first: { source: 'aws', receivedWallMs: 10 },
      again: [
        { source: 'aws', receivedWallMs: 40, cause: 'same-source' },
        { source: 'aws', receivedWallMs: 30, cause: 'redelivery' },
        { source: 'gcp', receivedWallMs: 20, cause: 'other-source' },
      ],
      aside: [{ source: 'hub', receivedWallMs: 50 }],
    });
    t.match(await where(1), { state: 'held', again: [], aside: [] });
    t.match(await where(5), { again: [{ source: 'gcp' }] });
    t.match(await where(6), { state: 'missing', first: null });
    t.match(await where(7), { state: 'given-up-age' });
    t.match(await where(8), { state: 'never-seen' });
    t.match(await maintenance.where({ ...KEY, gateway: 'gw-2', seq: 1 }), { state: 'never-seen' });
    await maintenance.erase({ device: 'device-2', gateway: null }, 'ann');
    const again = [{ source: 'gcp', cause: 'unknown' }];
    t.match(await where(5), { state: 'erasure', first: null, again });
    const rules = retentionRules.parse([{ streams: '*', max_age: '1d' }]);
    await maintenance.retain(rules, 100 * 86_400_000);
    t.match(await where(4), { state: 'retention', offset: null, aside: [] });
  });

  t.test('what a gateway sent a record again for is told, whichever of the two came first', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const sent = (seq: number, source: string, sentAs: SendReason | null) => ({
      ...entry({ seqs: [seq] }, source),
      sentAs,
    });
    await ledger.commit([sent(1, 'aws', null), sent(2, 'gcp', 'hedge'), sent(3, 'aws', 'redundant')]);
    t.match(
      await ledger.commit([
        sent(1, 'gcp', 'failover'),
        sent(2, 'aws', null),
        sent(3, 'gcp', 'redundant'),
        sent(3, 'aws', 'redundant'),
      ]),
      [
        { causes: { failover: 1 } },
        { causes: { hedge: 1 } },
        { causes: { redundant: 1 } },
        { causes: { 'same-source': 1 } },
      ],
    );
    const causes = async (seq: number): Promise<string[]> =>
      (await maintenance.where({ ...KEY, seq })).again.map(({ cause }) => cause);
    t.strictSame(await causes(1), ['failover']);
    t.strictSame(await causes(2), ['hedge'], 'the first one was the hedge');
    t.strictSame(await causes(3), ['same-source', 'redundant']);
  });

  t.test(
    'what the policy of the stream did is told: what stands now, and what is in quarantine',
    async (t) => {
      const { ledger, maintenance } = await freshWithMaintenance(t, engine, { conflictPolicyOf: byName });
      for (const stream of ['last-write-wins', 'quarantine']) {
        await ledger.commit([entry({ stream, seqs: [1, 2, 3] }, 'aws', 10)]);
        await ledger.commit([entry({ stream, seqs: [2], text: 'other' }, 'gcp', 20)]);
      }
      t.match(await maintenance.where({ ...KEY, stream: 'last-write-wins', seq: 2 }), {
        state: 'held',
        offset: 4,
        first: { source: 'gcp', receivedWallMs: 20 },
        aside: [{ source: 'aws', receivedWallMs: 10 }],
      });
      t.match(await maintenance.where({ ...KEY, stream: 'last-write-wins', seq: 3 }), {
        state: 'held',
        offset: 3,
      });
      t.match(await maintenance.where({ ...KEY, stream: 'quarantine', seq: 2 }), {
        state: 'quarantine',
        offset: null,
        first: null,
        aside: [{ source: 'aws' }, { source: 'gcp' }],
      });
    },
  );

  t.test('at most the newest hundred are told (I10)', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    await ledger.commit(seqs(1, 120).map((atMs) => entry({ seqs: [1] }, 'aws', atMs)));
    const { again } = await maintenance.where({ ...KEY, seq: 1 });
    t.strictSame([again.length, again[0]?.receivedWallMs], [100, 120]);
  });
}
