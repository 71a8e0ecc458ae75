/** A device's records go for good; their ids stay known (I5, I6). Part of the contract. */
import type { Test } from 'tap';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import { systemClock } from '../../../shared/clock.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import type { LedgerEngine } from './engine.ts';
import { entry, envelope, seqs } from './envelopes.ts';
import { freshWithMaintenance } from './fresh.ts';
import { byName } from './model.ts';

const LETTER = { source: 'gcp', reason: 'foreign-gateway', detail: '', receivedWallMs: 5 };

/** In these envelopes a record is of `device-<seq modulo 3>`. */
export function erasureCases(t: Test, engine: LedgerEngine): void {
  t.test('an erased device: no record, no version aside, no dead letter; every id is known', async (t) => {
    const { ledger, maintenance, place } = await freshWithMaintenance(t, engine);
    await ledger.commit([entry({ seqs: seqs(1, 9) }), entry({ gateway: 'gw-2', seqs: seqs(1, 9) })]);
    await ledger.commit([entry({ seqs: [1, 2, 3], text: 'other' })]);
    const bytes = encodeEnvelope(envelope({ seqs: [1] }));
    await ledger.deadLetter({ ...LETTER, bytes });
    await ledger.deadLetter({ ...LETTER, bytes: encodeEnvelope(envelope({ seqs: [2] })) });
    await ledger.deadLetter({ ...LETTER, bytes: Buffer.from('device-1') });
    const before = systemClock.wallMs();
    const erasure = await maintenance.erase({ device: 'device-1', gateway: 'gw-1' }, 'ann');
    t.match(erasure, {
      device: 'device-1',
      gateway: 'gw-1',
      actor: 'ann',
      records: 3,
      versions: 1,
      deadLetters: 1,
    });
    t.ok(erasure.startedWallMs >= before && (erasure.finishedWallMs ?? 0) >= erasure.startedWallMs);
    t.strictSame(await devices(ledger), [
      'gw-1 device-0 3',
      'gw-1 device-2 3',
      'gw-2 device-0 3',
      'gw-2 device-1 3',
      'gw-2 device-2 3',
    ]);
    t.strictSame(new Set((await ledger.conflicts(10)).map(({ seq }) => seq)), new Set([2, 3]));
    t.equal((await ledger.deadLetters(10)).length, 2);
    await ledger.close();
    const again = await engine.open(place);
    t.teardown(() => again.close());
    t.match(await again.completeness('gw-1'), [
      { completeTo: 9, missingCount: 0, records: 9, withdrawn: { erasure: 3, retention: 0 } },
    ]);
    t.match(await again.commit([entry({ seqs: seqs(1, 9) }, 'azure')]), [
      { new: 0, duplicate: 9, conflict: 0 },
    ]);
    t.match(await again.commit([entry({ seqs: [1, 4], text: 'other' })]), [
      { new: 0, duplicate: 2, conflict: 0 },
    ]);
    t.match(await again.commit([entry({ seqs: [10] })]), [{ new: 1 }], 'what comes later is taken');
    t.match(await again.verify(), { problemCount: 0, records: 16 });
    t.match(await again.maintenance.erasures(10), [erasure]);
    t.match(await again.maintenance.erase({ device: 'device-1', gateway: null }, 'bob'), {
      records: 4,
      versions: 0,
    });
    t.match(await again.maintenance.erasures(10), [{ actor: 'bob', gateway: null }, { actor: 'ann' }]);
  });

  t.test('of an id in dispute only the version of the device goes, and does not come back', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine, { conflictPolicyOf: byName });
    const streams = ['keep-first', 'last-write-wins', 'quarantine'];
    const other = (stream: string) => {
      const one = entry({ stream, seqs: [1] });
      one.envelope.records = one.envelope.records.map((record) => ({ ...record, device: 'device-9' }));
      return one;
    };
    for (const stream of streams) {
      await ledger.commit([entry({ stream, seqs: [1] })]);
      await ledger.commit([other(stream)]);
    }
    t.match(await maintenance.erase({ device: 'device-9', gateway: null }, 'ann'), {
      records: 1,
      versions: 2,
    });
    t.strictSame(await devices(ledger), ['gw-1 device-1 1'], 'what stood first stands');
    for (const stream of streams)
      t.match(await ledger.commit([other(stream)]), [{ duplicate: 1, conflict: 0 }], stream);
    t.strictSame(await devices(ledger), ['gw-1 device-1 1']);
    t.match(await ledger.verify(), { problemCount: 0 });
  });

  t.test('a large stream is looked through in pieces', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    await ledger.commit([entry({ seqs: [1, 49_999, 50_000, 50_001, 100_000, 100_003, 149_998] })]);
    await ledger.commit(seqs(1, 1200).map((n) => entry({ gateway: `gw-${n + 9}`, seqs: [1] })));
    t.match(await maintenance.erase({ device: 'device-1', gateway: null }, 'ann'), { records: 1205 });
    t.match(await ledger.verify(), { problemCount: 0, records: 2 });
  });
}

async function devices(ledger: Ledger): Promise<string[]> {
  const counts = new Map<string, number>();
  for (const { gateway, device } of await ledger.read(0, 1000))
    counts.set(`${gateway} ${device}`, (counts.get(`${gateway} ${device}`) ?? 0) + 1);
  return Array.from(counts, ([name, count]) => `${name} ${count}`).sort((a, b) => (a < b ? -1 : 1));
}
