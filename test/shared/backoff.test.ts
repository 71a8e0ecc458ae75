import t from 'tap';
import { Backoff, pauseCeilingMs } from '../../shared/backoff.ts';

t.test('the ceiling doubles up to its bound', async (t) => {
  const bounds = { firstMs: 100, lastMs: 500 };
  t.strictSame(
    [0, 1, 2, 3, 4, 5000].map((failures) => pauseCeilingMs(bounds, failures)),
    [0, 100, 200, 400, 500, 500],
  );
});

t.test('half of the pause is random, and a reset begins anew', async (t) => {
  const draws = [0, 0.5, 1, 0];
  const entropy = { float: () => draws.shift() ?? 0, bytes: (count: number) => new Uint8Array(count) };
  const backoff = new Backoff({ firstMs: 100, lastMs: 500 }, entropy);
  t.strictSame([backoff.failed(), backoff.failed(), backoff.failed()], [50, 150, 400]);
  t.equal(backoff.failures, 3);
  backoff.reset();
  t.equal(backoff.failures, 0);
  t.equal(backoff.failed(), 50);
});
