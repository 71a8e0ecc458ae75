/**
 * The version that stands when two contents come under one id, by the stream's policy; neither is ever lost
 * (I6). Part of the contract.
 */
import type { Test } from 'tap';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import type { LedgerConflict } from '../../../router/ledger/types.ts';
import type { LedgerEngine } from './engine.ts';
import { entry } from './envelopes.ts';
import { fresh } from './fresh.ts';
import { byName } from './model.ts';

export function policyCases(t: Test, engine: LedgerEngine): void {
  const open = (t: Test) => fresh(t, engine, { conflictPolicyOf: byName });

  t.test(
    'last-write-wins: the later version stands, at a new offset, and the earlier is kept aside',
    async (t) => {
      const stream = 'last-write-wins';
      const { ledger } = await open(t);
      await ledger.commit([entry({ stream, seqs: [1, 2, 3] }, 'aws', 1)]);
      t.match(await ledger.commit([entry({ stream, seqs: [3], text: 'later' }, 'azure', 2)]), [
        { new: 0, conflict: 1 },
      ]);
      t.strictSame(await held(ledger), ['1 1', '2 2', '3 later']);
      t.match(
        await ledger.read(3, 10),
        [{ seq: 3, source: 'azure', offset: 4 }],
        'a feed that is past 3 gets it',
      );
      t.strictSame((await ledger.conflicts(10)).map(versions), ['later from azure, aside 3 from aws']);
      for (const text of ['3', 'later'])
        t.match(await ledger.commit([entry({ stream, seqs: [3], text })]), [{ duplicate: 1, conflict: 0 }]);
      t.strictSame(await held(ledger), ['1 1', '2 2', '3 later'], 'a redelivery of the first does not win');
      t.match(await ledger.completeness(), [{ records: 3, completeTo: 3, conflicts: 1 }]);
      t.match(await ledger.verify(), { problemCount: 0, records: 3 });
    },
  );

  t.test('quarantine: neither version stands, the id stays known, both are kept aside', async (t) => {
    const stream = 'quarantine';
    const { ledger, place } = await open(t);
    await ledger.commit([entry({ stream, seqs: [1, 2] }, 'aws')]);
    await ledger.commit([entry({ stream, seqs: [2], text: 'other' }, 'azure')]);
    t.strictSame(await held(ledger), ['1 1']);
    const withdrawn = { quarantine: 1, retention: 0, erasure: 0 };
    t.match(await ledger.completeness(), [{ completeTo: 2, missingCount: 0, records: 2, withdrawn }]);
    await ledger.close();
    const again = await engine.open(place, { conflictPolicyOf: byName });
    t.teardown(() => again.close());
    for (const text of ['2', 'other'])
      t.match(await again.commit([entry({ stream, seqs: [2], text })]), [
        { new: 0, duplicate: 1, conflict: 0 },
      ]);
    t.match(await again.commit([entry({ stream, seqs: [2], text: 'third' }, 'gcp')]), [{ conflict: 1 }]);
    t.strictSame((await again.conflicts(10)).map(versions), [
      '2 from aws, aside third from gcp',
      '2 from aws, aside other from azure',
    ]);
    t.match(await again.completeness(), [{ withdrawn, conflicts: 2 }]);
    t.match(await again.verify(), { problemCount: 0, records: 1 });
    await again.commit([entry({ stream, seqs: [3] })]);
    t.match(await again.read(2, 10), [{ seq: 3, offset: 3 }], 'no offset is given twice');
  });

  t.test('versions that meet in one commit are judged as if they came one after the other', async (t) => {
    const { ledger } = await open(t);
    for (const stream of ['keep-first', 'last-write-wins', 'quarantine']) {
      const group = ['a', 'b', 'c', 'b'].map((text) => entry({ stream, seqs: [1], text }));
      t.match(
        await ledger.commit(group),
        [{ new: 1 }, { conflict: 1 }, { conflict: 1 }, { duplicate: 1 }],
        stream,
      );
    }
    t.strictSame(await held(ledger), ['1 a', '1 c']);
    t.equal((await ledger.conflicts(10)).length, 6);
    t.match(await ledger.verify(), { problemCount: 0 });
  });
}

async function held(ledger: Ledger): Promise<string[]> {
  return (await ledger.read(0, 100)).map(({ seq, payload }) => `${seq} ${Buffer.from(payload)}`);
}

function versions({ held, other }: LedgerConflict): string {
  return `${Buffer.from(held.payload)} from ${held.source}, aside ${Buffer.from(other.payload)} from ${other.source}`;
}
