/** A shortened receipt states less, and nothing different (I6, I10). */
import fc from 'fast-check';
import t from 'tap';
import { fitted } from '../../../router/receipts/shorten.ts';
import { coveredBy, type Receipt, receiptJson, type StreamReceipt } from '../../../shared/receipt.ts';
import type { SeqRange } from '../../../shared/record.ts';
import { seqs } from '../ledger/envelopes.ts';

function stream(name: string, missing: SeqRange[], to: number, givenUp: SeqRange[] = []): StreamReceipt {
  return { epoch: '1-aa', stream: name, to, missing, givenUp, givenUpFrom: 1, sealedAt: null };
}

function odd(count: number): SeqRange[] {
  return seqs(1, count).map((i) => ({ first: 2 * i, last: 2 * i }));
}

function receiptText(one: Receipt): string {
  return JSON.stringify({ receipt: receiptJson(one) });
}

function within(bytesMax: number): (one: Receipt) => boolean {
  return (one) => receiptText(one).length <= bytesMax;
}

const receipt = (streams: StreamReceipt[]): Receipt => ({ gateway: 'gw-1', version: 7, streams });

t.test('what fits stays as it is', async (t) => {
  const whole = receipt([stream('a', odd(100), 300, [{ first: 1, last: 1 }])]);
  t.equal(
    fitted(whole, () => 0, within(receiptText(whole).length)),
    whole,
  );
});

t.test('given-up ranges go first, then the later half of the ranges, and `to` with them', async (t) => {
  const whole = receipt([stream('a', odd(100), 300, odd(20)), stream('b', [], 9)]);
  const cut = { ...stream('a', odd(100), 300), givenUpFrom: 41 };
  const withoutGivenUp = receipt([cut, stream('b', [], 9)]);
  const bytes = receiptText(withoutGivenUp).length;
  t.same(
    fitted(whole, () => 0, within(bytes)),
    withoutGivenUp,
  );
  const few = fitted(whole, () => 0, within(bytes + 40));
  t.match(few.streams[0], { givenUp: odd(20).slice(-4), givenUpFrom: 33 }, 'the newest few last');
  const half = fitted(whole, () => 0, within(bytes - 1));
  t.same(half.streams, [{ ...stream('a', odd(50), 100), givenUpFrom: 41 }, stream('b', [], 9)]);
});

t.test('then streams go, those first that nothing came in for lately', async (t) => {
  const streams = seqs(1, 8).map((i) => stream(`s${i}`, i === 8 ? odd(3) : [], i === 8 ? 7 : i));
  const cut = fitted(receipt(streams), ({ stream: name }) => Number(name.slice(1)), within(250));
  t.same(
    cut.streams.map(({ stream: name, to }) => [name, to]),
    [
      ['s7', 7],
      ['s8', 1],
    ],
    'of the one with ranges, what is before the first',
  );
  t.same(fitted(receipt(streams), () => 0, within(10)).streams, [], 'nothing fits');
});

t.test('whatever the bound, it fits, and covers nothing that the whole does not cover', async () => {
  const range = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 5 }));
  const anyStream = fc.tuple(fc.array(range, { maxLength: 40 }), fc.nat(50)).map(([steps, more]) => {
    let at = 0;
    const missing = steps.map(([gap, length]) => {
      const first = at + gap;
      at = first + length;
      return { first, last: at };
    });
    return { missing, to: at + more };
  });
  fc.assert(
    fc.property(
      fc.array(anyStream, { maxLength: 8 }),
      fc.integer({ min: 80, max: 2000 }),
      (all, bytesMax) => {
        const whole = receipt(all.map(({ missing, to }, i) => stream(`s${i}`, missing, to)));
        const cut = fitted(whole, ({ stream: name }) => name.length, within(bytesMax));
        return (
          receiptText(cut).length <= bytesMax &&
          cut.streams.every((part) => {
            const of = whole.streams.find(({ stream: name }) => name === part.stream);
            if (!of || part.to > of.to) return false;
            const covered = coveredBy(of);
            return seqs(1, 500).every(
              (seq) => coveredBy(part).has(seq) === (seq <= part.to && covered.has(seq)),
            );
          })
        );
      },
    ),
    { numRuns: 50 },
  );
});
