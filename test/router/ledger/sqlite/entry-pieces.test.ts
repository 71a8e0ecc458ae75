import t from 'tap';
import { type EntriesPiece, JoinedEntries, piecesOf } from '../../../../router/ledger/sqlite/entry-pieces.ts';
import type { LedgerEntry } from '../../../../router/ledger/types.ts';
import { entry, gap, seqs } from '../envelopes.ts';

function joined(pieces: Iterable<EntriesPiece>): LedgerEntry[] {
  const entries = new JoinedEntries();
  for (const piece of pieces) entries.add(structuredClone(piece));
  return entries.entries();
}

t.test('entries come out of their pieces as they went in', async (t) => {
  const entries: LedgerEntry[] = [
    entry({ seqs: seqs(1, 7), gaps: [gap(8, 9), gap(12, 12, 'age')], sealedAt: 12 }),
    { ...entry({ stream: '_heartbeat' }, 'gcp', 2000), redelivered: true, sentAs: 'hedge' },
    entry({ gateway: 'gw-2', seqs: [3], text: '', quality: 'unsynchronised' }),
    entry({ gateway: 'gw-2', gaps: [gap(1, 2)] }),
  ];
  for (const itemsMax of [1, 2, 3, 5, 1000]) {
    const pieces = [...piecesOf(entries, { itemsMax, payloadBytesMax: 1000 })];
    t.equal(pieces.length, Math.ceil(15 / itemsMax), `${itemsMax} heads, records and gaps in a piece`);
    t.strictSame(
      pieces.map(({ isLast }) => isLast),
      pieces.map((_, i) => i === pieces.length - 1),
    );
    t.same(joined(pieces), entries);
  }
  t.same(joined(piecesOf([])), [], 'a commit of nothing is one piece');
});

t.test('a piece is bounded by its payloads too', async (t) => {
  const large = entry({ seqs: seqs(1, 6), text: 'x'.repeat(100) });
  const pieces = [...piecesOf([large], { itemsMax: 1000, payloadBytesMax: 150 })];
  t.strictSame(
    pieces.map(({ payloads }) => payloads.byteLength),
    [200, 200, 200],
  );
  t.same(joined(pieces), [large]);
});

t.test('a piece is encoded when it is asked for', async (t) => {
  const group = Array.from({ length: 512 }, (_, i) => entry({ gateway: `gw-${i}`, seqs: seqs(1, 25) }));
  let read = 0;
  const counted = {
    *[Symbol.iterator]() {
      for (const one of group) {
        read += 1;
        yield one;
      }
    },
  };
  const pieces = piecesOf(counted);
  const { value } = pieces.next();
  t.equal(value?.isLast, false);
  t.ok(read < 100, `${read} of 512 envelopes are in the first piece`);
});
