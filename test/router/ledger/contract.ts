/** The ledger's contract (I5, I6), one suite for every engine. */
import type { Test } from 'tap';
import { conflictCases } from './conflict-cases.ts';
import { deadLetterCases } from './dead-letter-cases.ts';
import { type LedgerEngine, loadEngine } from './engine.ts';
import { entry, gap, record, seqs } from './envelopes.ts';
import { erasureCases } from './erasure-cases.ts';
import { everything, offsets } from './everything.ts';
import { feedCases } from './feed-cases.ts';
import { fresh } from './fresh.ts';
import { testKill } from './kill.ts';
import { listingCases } from './listing-cases.ts';
import { testModel } from './model.ts';
import { outcomeCases } from './outcome-cases.ts';
import { policyCases } from './policy-cases.ts';
import { proofCases } from './proof-cases.ts';
import { retentionCases } from './retention-cases.ts';
import { retentionShareCases } from './retention-share-cases.ts';
import { shareCases } from './share-cases.ts';
import { whereaboutsCases } from './whereabouts-cases.ts';

const KEY = { gateway: 'gw-1', epoch: '1-aa', stream: 'telemetry' };

/** Runs all cases against the engine that the module `engineFile` exports as `engine`. */
export async function runLedgerContract(t: Test, engineFile: string): Promise<void> {
  const engine = await loadEngine(engineFile);
  await t.test(`${engine.name}: contract`, async (t) => {
    recordCases(t, engine);
    gapCases(t, engine);
    conflictCases(t, engine);
    stateCases(t, engine);
    listingCases(t, engine);
    outcomeCases(t, engine);
    feedCases(t, engine);
    policyCases(t, engine);
    proofCases(t, engine);
    deadLetterCases(t, engine);
    shareCases(t, engine);
    whereaboutsCases(t, engine);
    retentionCases(t, engine);
    retentionShareCases(t, engine);
    erasureCases(t, engine);
    await t.test('agrees with a plain model on random histories', (t) => testModel(t, engineFile));
    await t.test('kill -9 while committing: all or nothing, acknowledged commits are there', (t) =>
      testKill(t, engineFile),
    );
  });
}

function recordCases(t: Test, engine: LedgerEngine): void {
  t.test('a record is held once, with everything it came with', async (t) => {
    const { ledger } = await fresh(t, engine);
    const [result] = await ledger.commit([entry({ seqs: [1] }, 'aws', 4242)]);
    const ranges = [{ first: 1, last: 1, outcome: 'new' }];
    t.strictSame(result, { new: 1, duplicate: 0, causes: {}, conflict: 0, gap: 0, ranges });
    const [held] = await ledger.read(0, 10);
    const { payload, ...rest } = held ?? { payload: Buffer.of() };
    t.equal(Buffer.from(payload).toString(), '1');
    t.strictSame(rest, {
      ...KEY,
      offset: 1,
      seq: 1,
      device: 'device-1',
      topic: 'plant/device-1/temp',
      bootId: 'boot-1',
      monoMs: 10,
      wallMs: 1_700_000_000_010,
      clockQuality: 'synchronised',
      source: 'aws',
      receivedWallMs: 4242,
    });
  });

  t.test('wall times of records taken before the clock was right are corrected when read (I7)', async (t) => {
    const { ledger } = await fresh(t, engine);
    const early = { offsetMs: 5000, quality: 'unsynchronised' } as const;
    await ledger.commit([
      entry({ seqs: [1], ...early }),
      entry({ seqs: [2], ...early, bootId: 'boot-0' }),
      entry({ seqs: [3], ...early, gateway: 'gw-2' }),
    ]);
    const read = async (): Promise<string[]> =>
      (await ledger.read(0, 10)).map((r) => `${r.gateway} ${r.seq} ${r.wallMs} ${r.clockQuality}`);
    t.strictSame(await read(), [
      'gw-1 1 5010 unsynchronised',
      'gw-1 2 5020 unsynchronised',
      'gw-2 3 5030 unsynchronised',
    ]);
    // A heartbeat: no record, gap or end.
    await ledger.commit([entry({ offsetMs: 1_800_000_000_000 })]);
    await ledger.commit([entry({ seqs: [4], ...early, epoch: '2-bb' })]);
    await ledger.commit([entry({ seqs: [5], offsetMs: 1_800_000_001_000 })]);
    t.strictSame(
      await read(),
      [
        'gw-1 1 1800000001010 corrected',
        'gw-1 2 5020 unsynchronised',
        'gw-2 3 5030 unsynchronised',
        'gw-1 4 1800000001040 corrected',
        'gw-1 5 1800000001050 synchronised',
      ],
      'of the same boot and gateway, earlier or later, by the latest word; no others',
    );
  });

  t.test('payloads are bytes: empty, not UTF-8, long', async (t) => {
    const { ledger } = await fresh(t, engine);
    const payloads = [Buffer.of(), Buffer.of(0, 255, 254, 0), Buffer.alloc(300_000, 7)];
    const one = entry({ seqs: [1, 2, 3] });
    one.envelope.records = payloads.map((payload, i) => ({ ...record(i + 1), payload }));
    await ledger.commit([one]);
    const held = await ledger.read(0, 10);
    t.ok(payloads.every((payload, i) => payload.equals(held[i]?.payload ?? Buffer.from('none'))));
    t.match(await ledger.commit([one]), [{ new: 0, duplicate: 3, conflict: 0 }]);
  });

  t.test('the same envelope again, in the same commit and later, adds nothing', async (t) => {
    const { ledger } = await fresh(t, engine);
    const one = entry({ seqs: [1, 2, 3] });
    t.match(await ledger.commit([one, one]), [
      { new: 3, duplicate: 0 },
      { new: 0, duplicate: 3 },
    ]);
    t.match(await ledger.commit([one]), [{ new: 0, duplicate: 3, causes: { 'same-source': 3 } }]);
    t.equal((await ledger.read(0, 10)).length, 3);
    t.match(await ledger.completeness(), [{ records: 3, duplicates: 6, conflicts: 0 }]);
    t.strictSame(await ledger.totals(), { records: 3, duplicates: 6, conflicts: 0, deadLetters: 0 });
  });

  t.test('overlapping envelopes in any order: only the unseen part is new', async (t) => {
    const { ledger } = await fresh(t, engine);
    t.match(await ledger.commit([entry({ seqs: seqs(5, 8) })]), [{ new: 4 }]);
    t.match(await ledger.commit([entry({ seqs: seqs(1, 6) }, 'gcp')]), [
      { new: 4, duplicate: 2, causes: { 'other-source': 2 } },
    ]);
    t.match(await ledger.commit([entry({ seqs: [2, 4, 7, 9] })]), [
      { new: 1, duplicate: 3, causes: { 'other-source': 2, 'same-source': 1 } },
    ]);
    t.strictSame(await offsets(ledger), [5, 6, 7, 8, 1, 2, 3, 4, 9]);
    t.match(await ledger.completeness(), [{ completeTo: 9, missing: [], missingCount: 0 }]);
  });

  t.test('a better clock mapping does not make a record another one', async (t) => {
    const { ledger } = await fresh(t, engine);
    await ledger.commit([entry({ seqs: [1], offsetMs: 0 })]);
    t.match(await ledger.commit([entry({ seqs: [1], offsetMs: 99 })]), [{ duplicate: 1, conflict: 0 }]);
    t.match(await ledger.read(0, 1), [{ wallMs: 10 }], 'the first mapping stays');
  });

  t.test('streams, epochs and gateways have ids of their own, whatever their names', async (t) => {
    const { ledger } = await fresh(t, engine);
    const names = [
      { gateway: 'a', epoch: 'b\nc', stream: 'd' },
      { gateway: 'a\nb', epoch: 'c', stream: 'd' },
      { gateway: 'a', epoch: 'b', stream: 'c\nd' },
      { gateway: 'ä', epoch: '', stream: '","' },
    ];
    const results = await ledger.commit(names.map((name) => entry({ ...name, seqs: [1] })));
    t.match(
      results,
      names.map(() => ({ new: 1 })),
    );
    t.match(await ledger.read(0, 10), names);
    const epochs = (await ledger.completeness('a')).map(({ epoch }) => epoch);
    t.strictSame(new Set(epochs), new Set(['b', 'b\nc']), 'one gateway alone');
    t.strictSame(await ledger.completeness('nobody'), []);
  });

  t.test('offsets are dense from 1 and read in pages', async (t) => {
    const { ledger } = await fresh(t, engine);
    await ledger.commit([entry({ seqs: seqs(1, 30) }), entry({ stream: 'alarms', seqs: seqs(1, 30) })]);
    await ledger.commit([entry({ seqs: seqs(20, 45) })]);
    let after = 0;
    const found: number[] = [];
    for (;;) {
      const page = await ledger.read(after, 7);
      if (page.length === 0) break;
      t.ok(page.length <= 7);
      found.push(...page.map(({ offset }) => offset));
      after = found.at(-1) ?? after;
    }
    t.strictSame(found, seqs(1, 75));
  });

  t.test('a page of large records ends early, never empty', async (t) => {
    const { ledger } = await fresh(t, engine);
    const one = entry({ seqs: seqs(1, 12) });
    one.envelope.records = one.envelope.records.map((r) => ({
      ...r,
      payload: Buffer.alloc(1_000_000, r.seq),
    }));
    await ledger.commit([one]);
    const first = await ledger.read(0, 100);
    t.ok(first.length > 0 && first.length < 12, `${first.length} records in the first page`);
    const second = await ledger.read(first.length, 100);
    t.equal(second[0]?.offset, first.length + 1);
  });
}

function gapCases(t: Test, engine: LedgerEngine): void {
  t.test('missing and given-up ranges are told apart', async (t) => {
    const { ledger } = await fresh(t, engine);
    const gaps = [gap(4, 5, 'age'), gap(7, 7, 'corruption'), gap(11, 11, 'too-large')];
    gaps.push(gap(12, 12, 'rejected'));
    await ledger.commit([entry({ seqs: [1, 2, 10], gaps })]);
    t.match(await ledger.completeness(), [
      {
        ...KEY,
        completeTo: 2,
        highest: 12,
        missing: [
          { first: 3, last: 3 },
          { first: 6, last: 6 },
          { first: 8, last: 9 },
        ],
        missingCount: 4,
        gaps,
        records: 3,
      },
    ]);
    await ledger.commit([entry({ seqs: [3, 6, 8, 9] })]);
    t.match(await ledger.completeness(), [{ completeTo: 12, missingCount: 0, records: 7, gaps }]);
    t.match(await ledger.verify(), { problemCount: 0 });
  });

  t.test('a record for an id given up wins: it is new, and given up no more', async (t) => {
    const { ledger } = await fresh(t, engine);
    t.match(await ledger.commit([entry({ gaps: [gap(1, 5)] })]), [{ gap: 5 }]);
    t.match(await ledger.commit([entry({ seqs: [3] })]), [{ new: 1, duplicate: 0, gap: 0 }]);
    t.match(await ledger.completeness(), [
      { completeTo: 5, gaps: [gap(1, 2), gap(4, 5)], records: 1, missingCount: 0 },
    ]);
  });

  t.test('a gap over ids already held or given up counts its unseen part only', async (t) => {
    const { ledger } = await fresh(t, engine);
    await ledger.commit([entry({ seqs: [2, 3], gaps: [gap(5, 6, 'age')] })]);
    t.match(await ledger.commit([entry({ gaps: [gap(1, 7, 'quota')] })]), [{ gap: 3 }]);
    t.match(await ledger.commit([entry({ gaps: [gap(1, 7, 'quota')] })]), [{ gap: 0 }], 'redelivered');
    t.match(await ledger.completeness(), [
      { completeTo: 7, records: 2, gaps: [gap(1, 1), gap(4, 4), gap(5, 6, 'age'), gap(7, 7)] },
    ]);
  });

  t.test('at most the first 100 missing ranges are listed, all are counted', async (t) => {
    const { ledger } = await fresh(t, engine);
    await ledger.commit([entry({ seqs: seqs(1, 150).map((i) => i * 2) })]);
    const [stream] = await ledger.completeness();
    t.equal(stream?.missing.length, 100);
    t.strictSame(stream?.missing.at(-1), { first: 199, last: 199 });
    t.equal(stream?.missingCount, 150);
  });

  t.test('more ranges than a stream may have are refused; what fills holes is taken (I10)', async (t) => {
    const { ledger } = await fresh(t, engine);
    const comb = (first: number) =>
      entry({ gaps: seqs(first, first + 49_999).map((i) => gap(2 * i, 2 * i)) });
    await ledger.commit([comb(1)]);
    await ledger.commit([comb(50_001)]);
    await t.rejects(ledger.commit([comb(100_001), entry({ stream: 'alarms', seqs: [1] })]), {
      name: 'EntryRefused',
      reason: 'limit',
    });
    t.match(await ledger.completeness(), [{ highest: 200_000, missingCount: 100_000 }], 'nothing of it');
    t.match(await ledger.commit([entry({ gaps: [gap(1, 1)] })]), [{ gap: 1 }]);
  });

  t.test('a seal says where an epoch ended, before or after its records', async (t) => {
    const { ledger } = await fresh(t, engine);
    await ledger.commit([entry({ sealedAt: 4 })]);
    t.match(await ledger.completeness(), [
      { sealedAt: 4, highest: 4, completeTo: 0, missing: [{ first: 1, last: 4 }], missingCount: 4 },
    ]);
    await ledger.commit([entry({ seqs: seqs(1, 4) })]);
    t.match(await ledger.completeness(), [{ sealedAt: 4, completeTo: 4, missingCount: 0 }]);
    await ledger.commit([entry({ epoch: '2-bb', sealedAt: 0 })]);
    t.match(await ledger.completeness(), [{}, { epoch: '2-bb', sealedAt: 0, highest: 0, completeTo: 0 }]);
  });

  t.test('records above the seal are held and visible, and of two seals the higher stands', async (t) => {
    const { ledger } = await fresh(t, engine);
    await ledger.commit([entry({ seqs: [1, 2], sealedAt: 2 })]);
    t.match(await ledger.commit([entry({ seqs: [3, 4] })]), [{ new: 2, conflict: 0 }]);
    t.match(await ledger.completeness(), [{ sealedAt: 2, highest: 4, completeTo: 4, conflicts: 0 }]);
    await ledger.commit([entry({ sealedAt: 6 }), entry({ sealedAt: 5 })]);
    t.match(await ledger.completeness(), [{ sealedAt: 6, highest: 6, missingCount: 2 }]);
  });
}

function stateCases(t: Test, engine: LedgerEngine): void {
  t.test('verify: the records say what the interval sets say', async (t) => {
    const { ledger } = await fresh(t, engine);
    t.match(await ledger.verify(), { streams: 0, records: 0, problems: [] });
    await ledger.commit([
      entry({ seqs: [1, 2, 4], gaps: [gap(3, 3)] }),
      entry({ gateway: 'gw-2', seqs: [7] }),
    ]);
    await ledger.commit([entry({ seqs: [2, 3, 4], text: 'other' }), entry({ gateway: 'gw-3', sealedAt: 5 })]);
    t.strictSame(await ledger.verify(), { streams: 3, records: 5, problems: [], problemCount: 0 });
  });

  t.test('heartbeats prove contact and nothing else', async (t) => {
    const { ledger } = await fresh(t, engine);
    const heartbeat = (source: string, atMs: number) => entry({ stream: '_heartbeat' }, source, atMs);
    const results = await ledger.commit([heartbeat('aws', 1), heartbeat('azure', 2), heartbeat('aws', 3)]);
    t.equal(results.length, 3);
    t.match(results[0], { new: 0, duplicate: 0, gap: 0 });
    await ledger.commit([entry({ gateway: 'gw-2', seqs: [1] }, 'azure', 4)]);
    t.strictSame(
      (await ledger.contacts('', 100)).sort((a, b) => a.lastWallMs - b.lastWallMs),
      [
        { gateway: 'gw-1', source: 'azure', lastWallMs: 2 },
        { gateway: 'gw-1', source: 'aws', lastWallMs: 3 },
        { gateway: 'gw-2', source: 'azure', lastWallMs: 4 },
      ],
    );
    t.match(await ledger.completeness(), [{ gateway: 'gw-2' }], 'no stream for a heartbeat');
  });

  t.test('cursors and checkpoints are kept apart by name', async (t) => {
    const { ledger } = await fresh(t, engine);
    t.equal((await ledger.loadFeedPosition('nats')).offset, 0);
    t.equal(await ledger.loadCheckpoint('azure', '0'), null);
    await ledger.resetFeedPosition('nats', 7);
    await ledger.resetFeedPosition('nats', 9);
    await ledger.resetFeedPosition('webhook', 3);
    t.ok(await ledger.replaceCheckpoint('azure', '0', null, 'a'));
    t.ok(await ledger.replaceCheckpoint('azure', '0', 'a', 'b'));
    t.ok(await ledger.replaceCheckpoint('azure', '1', null, 'c'));
    t.notOk(await ledger.replaceCheckpoint('azure', '0', null, 'x'), 'there is something');
    t.notOk(await ledger.replaceCheckpoint('azure', '0', 'a', 'x'), 'there is something else');
    t.notOk(await ledger.replaceCheckpoint('azure', '2', 'a', 'x'), 'there is nothing');
    const tries = seqs(1, 8).map((i) => ledger.replaceCheckpoint('azure', '3', null, `router-${i}`));
    const taken = (await Promise.all(tries)).flatMap((done, i) => (done ? [`router-${i + 1}`] : []));
    t.strictSame([await ledger.loadCheckpoint('azure', '3')], taken, 'of eight at once it is one');
    t.strictSame(
      [(await ledger.loadFeedPosition('nats')).offset, (await ledger.loadFeedPosition('webhook')).offset],
      [9, 3],
    );
    t.strictSame(
      [await ledger.loadCheckpoint('azure', '0'), await ledger.loadCheckpoint('azure', '1')],
      ['b', 'c'],
    );
  });

  t.test('dead letters keep their bytes', async (t) => {
    const { ledger } = await fresh(t, engine);
    const letter = { source: 'aws', reason: 'cbor', detail: 'unexpected end', receivedWallMs: 5 };
    await ledger.deadLetter({ ...letter, bytes: Buffer.of(1, 2, 255) });
    await ledger.deadLetter({ ...letter, reason: 'magic', bytes: Buffer.of() });
    const [second, first] = await ledger.deadLetters(10);
    t.match(first, letter);
    t.strictSame([...(first?.bytes ?? [])], [1, 2, 255]);
    t.equal(second?.reason, 'magic');
    t.match(await ledger.totals(), { records: 0, deadLetters: 2 });
  });

  t.test('everything is there after a reopen', async (t) => {
    const { ledger, place } = await fresh(t, engine);
    await ledger.commit([entry({ seqs: [1, 2, 4], gaps: [gap(6, 7, 'age')], sealedAt: 9 })]);
    await ledger.commit([entry({ seqs: [2], text: 'forged' }), entry({ seqs: [1] })]);
    await ledger.resetFeedPosition('nats', 2);
    await ledger.replaceCheckpoint('azure', '0', null, 'a');
    await ledger.deadLetter({
      source: 's',
      reason: 'r',
      detail: 'd',
      bytes: Buffer.of(1),
      receivedWallMs: 1,
    });
    const before = await everything(ledger);
    await ledger.close();
    const again = await engine.open(place);
    t.teardown(() => again.close());
    t.strictSame(await everything(again), before);
    t.match(await again.commit([entry({ seqs: [1, 2, 3, 4, 5, 6] })]), [{ new: 3, duplicate: 3 }]);
    t.strictSame(await offsets(again), [1, 2, 4, 3, 5, 6]);
  });

  t.test('an empty commit is nothing; ping answers until the ledger is closed', async (t) => {
    const { ledger } = await fresh(t, engine);
    t.strictSame(await ledger.commit([]), []);
    await ledger.ping();
    await ledger.close();
    await t.rejects(ledger.ping());
    await t.rejects(ledger.commit([entry({ seqs: [1] })]));
  });
}
