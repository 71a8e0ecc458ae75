/**
 * Receipts never state more than the ledger's rules allow (I6), also when parts are left out for the bounds
 * (I10).
 */
import fc from 'fast-check';
import t from 'tap';
import { absorb, completenessOf, EMPTY_STREAM } from '../../../router/ledger/rules/rules.ts';
import { streamReceipts } from '../../../router/receipts/receipt.ts';
import {
  committedBy,
  coveredBy,
  RECEIPT_BYTES_MAX,
  readReceipt,
  receiptJson,
} from '../../../shared/receipt.ts';
import { envelope, gap, seqs } from '../ledger/envelopes.ts';

const KEY = { gateway: 'gw-1', epoch: '1-aa', stream: 'telemetry' };
const never = (): number => 0;

function completeness(held: number[], gaps: Array<[number, number]> = [], sealedAt: number | null = null) {
  const content = envelope({ seqs: held, gaps: gaps.map(([first, last]) => gap(first, last)), sealedAt });
  return completenessOf(KEY, absorb(EMPTY_STREAM, content, { verified: true }).state);
}

t.test('committed, missing, given up, sealed', async (t) => {
  const [receipt] = streamReceipts([completeness([1, 2, 5, 9], [[3, 3]], 12)], never);
  t.same(receipt, {
    epoch: '1-aa',
    stream: 'telemetry',
    to: 12,
    missing: [
      { first: 4, last: 4 },
      { first: 6, last: 8 },
      { first: 10, last: 12 },
    ],
    givenUp: [{ first: 3, last: 3 }],
    givenUpFrom: 1,
    sealedAt: 12,
  });
});

t.test('with more holes than are listed it says nothing of what is behind them', async (t) => {
  const odd = seqs(0, 300).map((i) => 2 * i + 1);
  const [receipt] = streamReceipts([completeness(odd)], never);
  t.equal(receipt?.missing.length, 100);
  t.equal(receipt?.to, 200, 'the last hole that is listed');
  t.ok(receipt && odd.filter((seq) => seq <= 200).every((seq) => coveredBy(receipt).has(seq)));
});

t.test('covered is exactly what is held or given up, as far as the receipt goes', async () => {
  const sets = fc.uniqueArray(fc.integer({ min: 1, max: 400 }), { maxLength: 400 });
  fc.assert(
    fc.property(sets, fc.integer({ min: 1, max: 400 }), (numbers, cut) => {
      const held = numbers.filter((seq) => seq !== cut).sort((a, b) => a - b);
      const state = completeness(held, [[cut, cut]]);
      const [receipt] = streamReceipts([state], never);
      if (!receipt) return false;
      const covered = coveredBy(receipt);
      return seqs(1, 401).every(
        (seq) => covered.has(seq) === (seq <= receipt.to && (seq === cut || held.includes(seq))),
      );
    }),
  );
});

t.test('committed is exactly what is held, also when given-up ranges are left out', async () => {
  const held = seqs(1, 400).filter((seq) => seq % 3 !== 0);
  const gaps = seqs(1, 400)
    .filter((seq) => seq % 3 === 0)
    .map((seq): [number, number] => [seq, seq]);
  const [receipt] = streamReceipts([completeness(held, gaps)], never);
  if (!receipt) throw new Error('no receipt');
  const committed = committedBy(receipt);
  if (held.some((seq) => committed.has(seq) !== seq >= receipt.givenUpFrom))
    throw new Error('not what is held');
  if (gaps.some(([seq]) => committed.has(seq))) throw new Error('given up counts as committed');
  if (receipt.givenUp.length !== 50 || receipt.givenUpFrom !== 250) throw new Error(`${receipt.givenUpFrom}`);
});

t.test('of many streams those of which something came lately, then the newest epochs (I10)', async (t) => {
  const all = seqs(1, 200).map((i) => ({ ...completeness([1]), epoch: `${i}-aa` }));
  const epochs = (recency: (key: { epoch: string }) => number): string[] =>
    streamReceipts(all, recency).map(({ epoch }) => epoch);
  t.equal(epochs(never).length, 64);
  t.ok(epochs(never).includes('200-aa') && !epochs(never).includes('136-aa'));
  const lately = epochs(({ epoch }) => (epoch === '7-aa' ? 1 : 0));
  t.ok(lately.includes('7-aa') && lately.includes('138-aa') && !lately.includes('137-aa'));
  t.same(lately, [...lately].sort(), 'in an order that does not follow what came last');
});

t.test('the largest receipt is within its bounds', async (t) => {
  const far = Number.MAX_SAFE_INTEGER - 2000;
  const missing = seqs(0, 99).map((i) => ({ first: far + 2 * i, last: far + 2 * i }));
  const gaps = seqs(0, 99).map((i) => gap(far + 2 * i, far + 2 * i));
  const name = 'x'.repeat(64);
  const worst = { ...completeness([1]), stream: name, highest: far + 300, missing, missingCount: 100, gaps };
  const all = seqs(1, 100).map((i) => ({ ...worst, epoch: `${i}-${'e'.repeat(60)}` }));
  const receipt = { gateway: name, version: far, streams: streamReceipts(all, never) };
  const text = JSON.stringify(receiptJson(receipt));
  t.ok(text.length <= RECEIPT_BYTES_MAX, `${text.length} bytes`);
  t.same(readReceipt(JSON.parse(text)), { receipt });
});
