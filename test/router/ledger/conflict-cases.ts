/** One id with two contents: kept aside, never merged (I6). Part of the contract. */
import type { Test } from 'tap';
import type { LedgerEngine } from './engine.ts';
import { entry, record } from './envelopes.ts';
import { fresh } from './fresh.ts';

const KEY = { gateway: 'gw-1', epoch: '1-aa', stream: 'telemetry' };

export function conflictCases(t: Test, engine: LedgerEngine): void {
  t.test('other content under the same id is kept aside with both versions, never merged', async (t) => {
    const { ledger } = await fresh(t, engine);
    await ledger.commit([entry({ seqs: [1, 2, 3] }, 'aws', 1)]);
    t.match(await ledger.commit([entry({ seqs: [2], text: 'forged' }, 'azure', 2)]), [
      { new: 0, duplicate: 0, conflict: 1 },
    ]);
    t.match(await ledger.completeness(), [{ records: 3, conflicts: 1, duplicates: 0, completeTo: 3 }]);
    const texts = (await ledger.read(0, 10)).map(({ payload }) => Buffer.from(payload).toString());
    t.strictSame(texts, ['1', '2', '3'], 'the held version stays');
    const [conflict] = await ledger.conflicts(10);
    t.match(conflict, {
      ...KEY,
      seq: 2,
      held: { source: 'aws', receivedWallMs: 1, device: 'device-2', monoMs: 20 },
      other: { source: 'azure', receivedWallMs: 2, device: 'device-2', monoMs: 20 },
    });
    t.equal(Buffer.from(conflict?.held.payload ?? []).toString(), '2');
    t.equal(Buffer.from(conflict?.other.payload ?? []).toString(), 'forged');
  });

  t.test('topic, device and time make a difference as well as the payload', async (t) => {
    const { ledger } = await fresh(t, engine);
    const held = record(1);
    await ledger.commit([entry({ seqs: [1] })]);
    for (const other of [{ topic: 'x' }, { device: 'x' }, { monoMs: 11 }]) {
      const one = entry({ seqs: [1] });
      one.envelope.records = [{ ...held, ...other }];
      t.match(await ledger.commit([one]), [{ conflict: 1 }], JSON.stringify(other));
    }
    t.match(await ledger.totals(), { records: 1, conflicts: 3 });
  });

  t.test('a conflict that is delivered again is counted once', async (t) => {
    const { ledger } = await fresh(t, engine);
    const forged = entry({ seqs: [1], text: 'forged' }, 'azure');
    await ledger.commit([entry({ seqs: [1] })]);
    t.match(await ledger.commit([forged, forged]), [{ conflict: 1 }, { conflict: 0, duplicate: 1 }]);
    t.match(await ledger.commit([forged]), [{ conflict: 0, duplicate: 1 }]);
    t.match(await ledger.commit([entry({ seqs: [1], text: 'third' })]), [{ conflict: 1 }]);
    const texts = (await ledger.conflicts(10)).map(({ other }) => Buffer.from(other.payload).toString());
    t.strictSame(texts, ['third', 'forged'], 'newest first');
    t.equal((await ledger.conflicts(1)).length, 1);
  });
}
