/** A gateway's flood of evidence pushes out its own, and nothing of another. Part of the contract. */
import type { Test } from 'tap';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import type { DeadLetter } from '../../../router/ledger/types.ts';
import type { LedgerEngine } from './engine.ts';
import { entry, seqs } from './envelopes.ts';
import { freshWithMaintenance } from './fresh.ts';
import { LIMITS } from './limits.ts';

const LETTER: DeadLetter = {
  source: 'aws',
  reason: 'cbor',
  detail: 'd',
  bytes: Buffer.of(1),
  receivedWallMs: 5,
};

export function shareCases(t: Test, engine: LedgerEngine): void {
  t.test('dead letters: a gateway keeps its newest, each source counts for itself', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const add = (gateway: string | null, detail: string, source = 'aws') =>
      ledger.deadLetter({ ...LETTER, gateway, detail, source });
    await add('few-1', 'gcp', 'gcp');
    await add('few-2', 'other');
    await add(null, 'nobody');
    for (const n of seqs(1, 6)) await add('few-1', String(n));
    await maintenance.expire(5);
    t.strictSame(await detailsOf(ledger), ['6', '5', '4', 'nobody', 'other', 'gcp']);
    t.match(await ledger.totals(), { deadLetters: 9 });
  });

  t.test('dead letters: names and properties count like the message', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const properties = { topic: 'x'.repeat(3000) };
    for (const detail of ['1', '2', '3'])
      await ledger.deadLetter({ ...LETTER, gateway: 'small-1', detail, properties });
    for (const detail of ['a', 'b', 'c']) await ledger.deadLetter({ ...LETTER, gateway: 'small-2', detail });
    await maintenance.expire(5);
    t.strictSame(await detailsOf(ledger), ['c', 'b', 'a', '3']);
  });

  t.test('dead letters: beyond the bound of all, the gateway that holds most shrinks', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const calm = seqs(1, 3).map((n) => `calm ${n}`);
    const add = (gateway: string, detail: string, length: number) =>
      ledger.deadLetter({ ...LETTER, gateway, detail, bytes: Buffer.alloc(length, 1) });
    for (const detail of calm) await add('calm', detail, 10_000);
    const length = 400_000;
    const flood = Math.ceil(LIMITS.deadLetters.bytesMax / length) + 2;
    for (const n of seqs(1, flood)) await add('flood', String(n), length);
    await maintenance.expire(5);
    const left = await detailsOf(ledger);
    t.strictSame(left.slice(-3), calm.toReversed(), 'the oldest of all, of a gateway that holds little');
    t.strictSame(
      left.slice(0, -3),
      seqs(flood - 9, flood)
        .map(String)
        .toReversed(),
    );
  });

  t.test('versions in conflict: a gateway keeps its newest, at the source that brought them', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    const gateways = ['few-1', 'few-2', 'calm'];
    await ledger.commit(gateways.map((gateway) => entry({ gateway, seqs: seqs(1, 9) })));
    const forge = (gateway: string, ids: number[], source: string) =>
      ledger.commit([entry({ gateway, seqs: ids, text: 'forged' }, source)]);
    await forge('few-2', [1, 2], 'azure');
    await forge('calm', [1, 2, 3, 4], 'azure');
    await forge('few-1', [1], 'gcp');
    for (const seq of seqs(2, 8)) await forge('few-1', [seq], 'azure');
    await maintenance.expire(5);
    const left = (await ledger.conflicts(99)).map(
      ({ gateway, seq, other }) => `${gateway} ${seq} ${other.source}`,
    );
    t.strictSame(left, [
      ...[8, 7, 6].map((seq) => `few-1 ${seq} azure`),
      'few-1 1 gcp',
      ...[4, 3, 2, 1].map((seq) => `calm ${seq} azure`),
      ...[2, 1].map((seq) => `few-2 ${seq} azure`),
    ]);
    t.match(await ledger.totals(), { conflicts: 14 });
    t.match(await ledger.verify(), { problemCount: 0 });
  });

  t.test(
    'ranges: beyond the quota an envelope is refused whole, and one that fills holes is not',
    async (t) => {
      const { ledger } = await freshWithMaintenance(t, engine);
      const sparse = (ids: number[], rangesMax?: number) => ({
        ...entry({ seqs: ids }),
        ...(rangesMax === undefined ? {} : { rangesMax }),
      });
      t.match(await ledger.commit([sparse([1, 3, 5, 7], 4)]), [{ new: 4 }]);
      const [refused] = await ledger.commit([sparse([6, 9, 11], 4)]);
      t.match(refused, {
        new: 0,
        refused: { reason: 'quota', detail: /5 ranges in stream telemetry of gw-1/ },
      });
      t.match(await ledger.commit([sparse([8], 4), sparse([2], 4)]), [{ new: 1 }, { new: 1 }]);
      t.match(await ledger.commit([sparse([9, 11])]), [{ new: 2 }], 'without the quota');
      t.match(await ledger.commit([sparse([4, 10], 1)]), [{ new: 2 }], 'fewer than before');
      t.match(await ledger.completeness(), [{ completeTo: 5, records: 10 }]);
    },
  );
}

async function detailsOf(ledger: Ledger): Promise<string[]> {
  return (await ledger.deadLetters(99)).map(({ detail }) => detail);
}
