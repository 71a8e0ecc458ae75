import fc from 'fast-check';
import t from 'tap';
import {
  absorb,
  completenessOf,
  EMPTY_STREAM,
  judge,
  type StreamState,
} from '../../../../router/ledger/rules/rules.ts';
import { capsOf, NO_SHARES, type ShareRules } from '../../../../router/ledger/rules/shares.ts';
import type { Envelope } from '../../../../shared/envelope/envelope.ts';
import { envelope, gap, record, seqs } from '../envelopes.ts';

const VERIFIED = { verified: true };

const KEY = { gateway: 'gw-1', epoch: '1-aa', stream: 'telemetry' };

function absorbAll(envelopes: readonly Envelope[]): StreamState {
  return envelopes.reduce((state, one) => absorb(state, one, VERIFIED).state, EMPTY_STREAM);
}

const anyEnvelope = fc
  .record({
    seqs: fc.uniqueArray(fc.integer({ min: 1, max: 20 }), { maxLength: 6 }),
    gap: fc.option(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 5 }))),
    sealedAt: fc.option(fc.integer({ min: 0, max: 25 })),
  })
  .map((sketch) =>
    envelope({
      seqs: sketch.seqs.sort((a, b) => a - b),
      gaps: sketch.gap ? [gap(sketch.gap[0], sketch.gap[0] + sketch.gap[1])] : [],
      sealedAt: sketch.sealedAt,
    }),
  );

t.test(
  'what is known of a stream does not depend on the order of delivery, nor on repeats (I5)',
  async (t) => {
    const deliveries = fc
      .array(anyEnvelope, { maxLength: 8 })
      .chain((all) =>
        fc.tuple(fc.constant(all), fc.shuffledSubarray([...all, ...all], { minLength: all.length * 2 })),
      );
    fc.assert(
      fc.property(deliveries, ([inOrder, shuffled]) => {
        const told = ({ state }: { state: StreamState }) => JSON.stringify(completenessOf(KEY, state));
        return told({ state: absorbAll(inOrder) }) === told({ state: absorbAll(shuffled) });
      }),
      { numRuns: 500 },
    );
    t.pass('500 shuffled histories');
  },
);

t.test('absorbing changes nothing in place (I11)', async (t) => {
  const before = absorbAll([envelope({ seqs: [1, 5], gaps: [gap(2, 3)] })]);
  const told = completenessOf(KEY, before);
  absorb(before, envelope({ seqs: [2, 3, 9], gaps: [gap(6, 7)], sealedAt: 12 }), VERIFIED);
  t.strictSame(completenessOf(KEY, before), told);
  t.equal(completenessOf(KEY, EMPTY_STREAM).highest, 0);
});

t.test('the same id twice in one envelope: the first is fresh, the second is judged', async (t) => {
  const twice = envelope({ seqs: [4, 4] });
  const { fresh, repeated } = absorb(EMPTY_STREAM, twice, VERIFIED);
  t.strictSame([fresh.length, repeated.length], [1, 1]);
});

t.test('a seal is first, the same, or another', async (t) => {
  const sealed = absorbAll([envelope({ sealedAt: 5 })]);
  t.match(absorb(EMPTY_STREAM, envelope({ sealedAt: 5 }), VERIFIED), { resealed: false });
  t.match(absorb(sealed, envelope({ sealedAt: 5 }), VERIFIED), { resealed: false });
  t.match(absorb(sealed, envelope({ sealedAt: 3 }), VERIFIED), { resealed: true, state: { sealedAt: 5 } });
  t.match(absorb(sealed, envelope({ seqs: seqs(4, 8) }), VERIFIED), { aboveSeal: 3 });
  t.match(absorb(sealed, envelope({ seqs: seqs(4, 8), sealedAt: 8 }), VERIFIED), {
    aboveSeal: 0,
    resealed: true,
  });
});

t.test('ranges of any size cost no more than their ends', async (t) => {
  const huge = 9_000_000_000_000;
  const state = absorbAll([envelope({ gaps: [gap(1, huge)] }), envelope({ seqs: [huge - 5] })]);
  t.match(completenessOf(KEY, state), { completeTo: huge, missingCount: 0, gaps: { length: 2 } });
});

t.test('a record is judged against every version known', async (t) => {
  const other = record(1, 'other');
  t.equal(judge(record(1), [record(1)]), 'duplicate');
  t.equal(judge(record(1), [other]), 'conflict');
  t.equal(judge(record(1), [other, record(1)]), 'duplicate');
  t.equal(judge(record(1), []), 'duplicate', 'pruned: nothing to compare with');
});

t.test('shares: an account that holds less than the others loses nothing to them', async (t) => {
  const all = { rowsMax: 100, bytesMax: 1000 };
  const held = (...bytes: number[]) =>
    bytes.map((bytes, i) => ({ source: 's', gateway: `gw-${i}`, rows: 1, bytes }));
  const levels = (rules: ShareRules, ...bytes: number[]) =>
    capsOf(held(...bytes), rules, all).map(({ gateway, bytesMax }) => [gateway, bytesMax]);
  t.strictSame(levels(NO_SHARES, 500, 500), []);
  t.strictSame(levels(NO_SHARES, 100, 200, 5000), [['gw-2', 700]]);
  t.strictSame(levels(NO_SHARES, 100, 600, 5000), [
    ['gw-1', 450],
    ['gw-2', 450],
  ]);
  const groups = [{ gateways: ['gw-1', 'x-*'], bytes: 200 }, { gateways: ['gw-*'] }];
  t.strictSame(levels({ rows: 0, bytes: 300, groups }, 350, 250, 300), [
    ['gw-0', 300],
    ['gw-1', 200],
  ]);
  const nobody = [{ source: 's', gateway: '', rows: 9, bytes: 900 }];
  const any = { rows: 1, bytes: 1, groups: [{ gateways: ['*'], rows: 1, bytes: 1 }] };
  t.strictSame(capsOf(nobody, any, all), [], 'a gateway that nothing proves has no share');
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 })), (bytes) => {
      const accounts = held(...bytes);
      const caps = new Map(capsOf(accounts, NO_SHARES, all).map((cap) => [cap.gateway, cap.bytesMax]));
      const left = accounts.map((one) => Math.min(one.bytes, caps.get(one.gateway) ?? one.bytes));
      const sum = left.reduce((total, one) => total + one, 0);
      const most = Math.max(0, ...left);
      const isFair = accounts.every((one, i) => left[i] === one.bytes || left[i] === most);
      const isFull = caps.size === 0 || sum > all.bytesMax - accounts.length;
      return sum <= all.bytesMax && isFair && isFull;
    }),
  );
});
