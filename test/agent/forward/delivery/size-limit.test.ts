import t from 'tap';
import { SizeLimit } from '../../../../agent/forward/delivery/size-limit.ts';

const HOUR_MS = 3_600_000;

/** Envelopes of the aimed size until it no longer changes; returns how many were refused. */
function search(size: SizeLimit, limit: number, most: number, answer: (bytes: number) => void): number {
  let refused = 0;
  for (let i = 0; i < 100; i += 1) {
    const bytes = Math.min(most, size.aimBytes(0));
    if (bytes <= limit) size.accepted(bytes);
    else {
      refused += 1;
      answer(bytes);
    }
  }
  return refused;
}

t.test('a limit is found in a few uploads, and used to nine tenths', async (t) => {
  for (const limit of [4500, 9000, 20_000, 90_000, 120_000]) {
    const size = new SizeLimit();
    const refused = search(size, limit, 128_000, (bytes) => size.refused(bytes));
    t.ok(refused <= 9, `${limit}: ${refused} refused`);
    t.ok(size.aimBytes(0) <= limit && size.aimBytes(0) > limit * 0.89, `${limit}: ${size.aimBytes(0)}`);
    t.ok(size.maxBytes >= limit, 'no record that is taken counts as too large');
  }
});

t.test(
  'the end of a connection is no word of the provider: it only guides the search, for an hour',
  async (t) => {
    const size = new SizeLimit();
    size.accepted(5000);
    t.notOk(size.cut(3000, 1, 0), 'it has accepted larger ones');
    t.notOk(size.cut(20_000, 1, 0), 'the first');
    t.notOk(size.cut(20_000, 1, 0), 'nothing was accepted between');
    t.ok(size.cut(20_000, 2, 0));
    t.ok(size.isDoubtful(6000, 0));
    t.ok(size.cut(12_000, 2, 0), 'then each that is larger than all accepted ones');
    t.equal(size.aimBytes(0), 8500);
    t.equal(size.maxBytes, Number.POSITIVE_INFINITY);
    t.equal(size.aimBytes(HOUR_MS), Number.POSITIVE_INFINITY, 'a bad link may have been the reason');
    t.notOk(size.isDoubtful(6000, HOUR_MS));
  },
);

t.test('a small envelope that is too large by its word teaches nothing', async (t) => {
  const size = new SizeLimit();
  size.refused(4000);
  t.equal(size.maxBytes, Number.POSITIVE_INFINITY);
});

t.test('a limit that is lifted is forgotten', async (t) => {
  const size = new SizeLimit();
  size.refused(50_000);
  size.accepted(60_000);
  t.equal(size.maxBytes, Number.POSITIVE_INFINITY);
});
