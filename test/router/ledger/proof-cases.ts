/**
 * Verified and unverified envelopes: the verified version of an id stands, whichever came first, and an
 * unverified envelope moves nothing beyond its bounds. Part of the contract.
 */
import type { Test } from 'tap';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import { retentionRules } from '../../../router/ledger/options.ts';
import { UNVERIFIED_JUMP_MAX } from '../../../router/ledger/rules/proof.ts';
import type { CommitResult, LedgerConflict, LedgerEntry } from '../../../router/ledger/types.ts';
import { systemClock } from '../../../shared/clock.ts';
import type { LedgerEngine } from './engine.ts';
import { type EnvelopeSketch, entry, gap } from './envelopes.ts';
import { fresh, freshWithMaintenance } from './fresh.ts';
import { byName } from './model.ts';

const unverified = (sketch: EnvelopeSketch, source = 'azure'): LedgerEntry =>
  entry({ ...sketch, verified: false }, source);

export function proofCases(t: Test, engine: LedgerEngine): void {
  const open = (t: Test) => fresh(t, engine, { conflictPolicyOf: byName });
  standingCases(t, engine, open);
  boundCases(t, open);

  t.test(
    'the first mapping of a boot stands until a verified one comes, and then the verified',
    async (t) => {
      const { ledger } = await open(t);
      const early = { offsetMs: 5000, quality: 'unsynchronised' } as const;
      const wallMs = async () => (await ledger.read(0, 1)).map((record) => record.wallMs);
      await ledger.commit([unverified({ seqs: [1], ...early })]);
      await ledger.commit([unverified({ offsetMs: 1_800_000_000_000 })]);
      await ledger.commit([unverified({ offsetMs: 4_000_000_000_000 })]);
      t.same(await wallMs(), [1_800_000_000_010]);
      await ledger.commit([
        entry({ offsetMs: 1_800_000_001_000 }),
        unverified({ offsetMs: 7_000_000_000_000 }),
      ]);
      await ledger.commit([unverified({ offsetMs: 4_000_000_000_000 })]);
      t.same(await wallMs(), [1_800_000_001_010]);
    },
  );
}

function standingCases(t: Test, engine: LedgerEngine, open: (t: Test) => ReturnType<typeof fresh>): void {
  t.test(
    'forged first: the verified version takes its place at a new offset, under every policy',
    async (t) => {
      for (const stream of ['keep-first', 'last-write-wins', 'quarantine']) {
        const { ledger } = await open(t);
        await ledger.commit([
          unverified({ stream, seqs: [1, 2], text: 'forged' }),
          entry({ stream, seqs: [3] }),
        ]);
        t.match(await ledger.commit([entry({ stream, seqs: [1, 2] })]), [{ new: 0, conflict: 2 }], stream);
        t.same(await held(ledger), ['3 3', '1 1', '2 2'], 'a feed that is past the forged ones gets these');
        t.match(await ledger.read(3, 10), [{ offset: 4 }, { offset: 5 }]);
        t.same((await ledger.conflicts(10)).map(versions), [
          '2: 2 from aws, aside forged from azure',
          '1: 1 from aws, aside forged from azure',
        ]);
        t.match(await ledger.completeness(), [{ records: 3, conflicts: 2, unverified: 0, isSigned: true }]);
        t.match(await ledger.verify(), { problemCount: 0, records: 3 });
      }
    },
  );

  t.test('forged afterwards: the verified version stays, under every policy', async (t) => {
    for (const stream of ['keep-first', 'last-write-wins', 'quarantine']) {
      const { ledger } = await open(t);
      const forged = unverified({ stream, seqs: [1, 2], text: 'forged' });
      t.match(await ledger.commit([entry({ stream, seqs: [1, 2] }), forged]), [{ new: 2 }, { conflict: 2 }]);
      t.match(await ledger.commit([forged]), [{ duplicate: 2, conflict: 0 }]);
      t.same(await held(ledger), ['1 1', '2 2'], stream);
      t.match(await ledger.completeness(), [{ conflicts: 2, withdrawn: { quarantine: 0 } }]);
      t.equal((await ledger.conflicts(10)).length, 2);
      t.match(await ledger.verify(), { problemCount: 0 });
    }
  });

  t.test('a genuine copy that came unverified and was kept aside stands once it is verified', async (t) => {
    for (const stream of ['keep-first', 'quarantine']) {
      const { ledger, place } = await open(t);
      await ledger.commit([unverified({ stream, seqs: [1], text: 'forged' })]);
      t.match(await ledger.commit([unverified({ stream, seqs: [1] })]), [{ conflict: 1 }]);
      await ledger.close();
      const again = await engine.open(place, { conflictPolicyOf: byName });
      t.teardown(() => again.close());
      await again.commit([entry({ stream, seqs: [1] })]);
      t.same(await held(again), ['1 1'], stream);
      t.match(await again.completeness(), [{ records: 1, unverified: 0, withdrawn: { quarantine: 0 } }]);
      const asides = (await again.conflicts(10)).map(versions);
      t.ok(asides.includes('1: 1 from aws, aside forged from azure'), asides.join('; '));
      t.match(await again.verify(), { problemCount: 0, records: 1 });
    }
  });

  t.test('the same content from both is one record, and proven from then on', async (t) => {
    const { ledger } = await open(t);
    await ledger.commit([unverified({ seqs: [1, 2, 3] })]);
    const proven = { completeTo: 0, highest: 0, missing: [], missingCount: 0 };
    t.match(await ledger.completeness(), [{ completeTo: 3, unverified: 3, isSigned: false, proven }]);
    t.match(await ledger.commit([entry({ seqs: [1, 3] })]), [{ duplicate: 2, conflict: 0 }]);
    t.match(await ledger.completeness(), [
      {
        completeTo: 3,
        unverified: 1,
        isSigned: true,
        proven: { completeTo: 1, highest: 3, missing: [{ first: 2, last: 2 }], missingCount: 1 },
      },
    ]);
    await ledger.commit([entry({ gaps: [gap(2, 2)] })]);
    t.match(
      await ledger.completeness(),
      [{ unverified: 1, gaps: [], proven: { completeTo: 3, missingCount: 0 } }],
      'an id that the gateway has given up since is no more missing to it',
    );
    t.same(await held(ledger), ['1 1', '2 2', '3 3'], 'and its record stays');
  });

  t.test('a record that came unverified and has left comes again once it is verified', async (t) => {
    const { ledger, maintenance } = await freshWithMaintenance(t, engine);
    await ledger.commit([unverified({ seqs: [1], text: 'forged' }), entry({ seqs: [2] })]);
    const rules = retentionRules.parse([{ streams: '*', max_age: '1h' }]);
    while ((await maintenance.retain(rules, systemClock.wallMs())).more);
    t.match(await ledger.completeness(), [{ records: 2, withdrawn: { retention: 2 } }]);
    const genuine = entry({ seqs: [1, 2] }, 'aws', systemClock.wallMs());
    t.match(await ledger.commit([genuine]), [{ new: 0, duplicate: 2 }]);
    t.same(await held(ledger), ['1 1'], 'and the one that was verified before does not');
    t.match(await ledger.read(2, 10), [{ seq: 1, offset: 3 }]);
    t.match(await ledger.completeness(), [{ records: 2, unverified: 0, withdrawn: { retention: 1 } }]);
    t.match(await ledger.commit([genuine]), [{ new: 0, duplicate: 2 }]);
    t.match(await ledger.verify(), { problemCount: 0, records: 1 });
  });

  t.test('versions of one id are bounded for unverified envelopes, and for those alone', async (t) => {
    const { ledger } = await open(t);
    await ledger.commit([entry({ seqs: [1] })]);
    for (let i = 0; i < 20; i += 1) await ledger.commit([unverified({ seqs: [1], text: `forged ${i}` })]);
    t.match(await ledger.completeness(), [{ conflicts: 8, duplicates: 12 }]);
    t.equal((await ledger.conflicts(100)).length, 8);
    t.match(await ledger.commit([entry({ seqs: [1], text: 'cloned' })]), [{ conflict: 1 }]);
  });
}

function boundCases(t: Test, open: (t: Test) => ReturnType<typeof fresh>): void {
  t.test('of a stream that its gateway signs, only a verified envelope moves anything ahead', async (t) => {
    const { ledger } = await open(t);
    await ledger.commit([entry({ seqs: [1, 2, 9] })]);
    const before = await ledger.completeness();
    const refused = [
      { gaps: [gap(3, 8)] },
      { sealedAt: 9 },
      { seqs: [10], text: 'forged' },
      { seqs: [4, 12] },
    ].map((sketch) => unverified(sketch));
    for (const { refused: why, new: taken } of await ledger.commit([entry({ seqs: [8] }), ...refused]))
      if (why) t.match({ why, taken }, { why: { reason: 'unproven' }, taken: 0 });
    t.equal(count(await ledger.commit(refused)), refused.length);
    await ledger.commit([unverified({ seqs: [5] })]);
    t.match(await ledger.completeness(), [
      {
        ...before[0],
        records: 5,
        missing: [
          { first: 3, last: 4 },
          { first: 6, last: 7 },
        ],
        missingCount: 4,
        unverified: 1,
        proven: { missingCount: 5 },
      },
    ]);
    const vouched = refused.map((one) => ({ ...one, jumpMax: Number.POSITIVE_INFINITY }));
    t.equal(count(await ledger.commit(vouched)), 0, 'an operator answers for them');
    t.match(await ledger.completeness(), [{ highest: 12, sealedAt: 9 }]);
  });

  t.test('of another stream, an unverified envelope moves no more than the bound', async (t) => {
    const { ledger } = await open(t);
    const jumpMax = 100;
    const one = (sketch: EnvelopeSketch): LedgerEntry => ({ ...unverified(sketch), jumpMax });
    const outcome = async (sketch: EnvelopeSketch): Promise<string> => {
      const [result] = await ledger.commit([one(sketch)]);
      return result?.refused?.reason ?? 'taken';
    };
    t.equal(await outcome({ sealedAt: 101 }), 'implausible');
    t.equal(await outcome({ gaps: [gap(5, 105)] }), 'implausible');
    t.equal(await outcome({ seqs: [7000, 7101] }), 'implausible');
    t.equal(await outcome({ seqs: [5000] }), 'taken', 'a ledger that is new to the stream');
    t.equal(await outcome({ seqs: [5101] }), 'implausible');
    t.equal(await outcome({ gaps: [gap(5001, 5101)] }), 'implausible');
    t.equal(await outcome({ sealedAt: 5101 }), 'implausible');
    t.equal(await outcome({ seqs: [2 ** 50] }), 'implausible');
    t.match(await ledger.completeness(), [{ highest: 5000, sealedAt: null, gaps: [], isSigned: false }]);
    t.equal(await outcome({ seqs: [5100], gaps: [gap(1, 4999)] }), 'taken');
    t.equal(await outcome({ sealedAt: 5200 }), 'taken');
    t.match(await ledger.completeness(), [{ highest: 5200, sealedAt: 5200 }]);
    const [far] = await ledger.commit([
      { ...unverified({ seqs: [9000] }), jumpMax: Number.POSITIVE_INFINITY },
    ]);
    t.match(far, { new: 1 });
    t.equal((await ledger.commit([unverified({ seqs: [9000 + UNVERIFIED_JUMP_MAX] })])).at(0)?.new, 1);
    const [beyond] = await ledger.commit([unverified({ seqs: [9001 + 2 * UNVERIFIED_JUMP_MAX] })]);
    t.match(beyond, { new: 0, refused: { reason: 'implausible' } });
    t.match(await ledger.verify(), { problemCount: 0 });
  });
}

function count(results: readonly CommitResult[]): number {
  return results.filter(({ refused }) => refused).length;
}

async function held(ledger: Ledger): Promise<string[]> {
  return (await ledger.read(0, 100)).map(({ seq, payload }) => `${seq} ${Buffer.from(payload)}`);
}

function versions({ seq, held, other }: LedgerConflict): string {
  return `${seq}: ${Buffer.from(held.payload)} from ${held.source}, aside ${Buffer.from(other.payload)} from ${other.source}`;
}
