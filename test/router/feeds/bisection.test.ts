/** Halving finds the refused record, in few writes, wherever it stands. */
import t from 'tap';
import { Bisection } from '../../../router/feeds/bisection.ts';

/** Writes batches of at most `size` records, of which one is refused; returns the one refused alone. */
function refusedAlone(poison: number, size: number): { found: number; refusals: number } {
  const bisection = new Bisection();
  let delivered = 0;
  for (let refusals = 0; refusals <= size; ) {
    const count = Math.min(size, bisection.limit);
    if (poison < delivered || poison >= delivered + count) {
      bisection.accepted(count);
      delivered += count;
      continue;
    }
    refusals += 1;
    if (count === 1) return { found: delivered, refusals };
    bisection.refused(count);
  }
  return { found: -1, refusals: size };
}

t.test('the record stands alone after one refusal for each halving', async (t) => {
  for (const size of [1, 2, 3, 10, 100, 500]) {
    const most = Math.ceil(Math.log2(size)) + 1;
    for (let poison = 0; poison < 2 * size; poison += Math.max(1, Math.floor(size / 7))) {
      const { found, refusals } = refusedAlone(poison, size);
      if (found !== poison || refusals > most)
        t.fail(`${poison} of ${size}: found ${found} after ${refusals} refusals, at most ${most}`);
    }
    t.pass(`batches of ${size}`);
  }
});

t.test('after it is passed over, batches are whole again', async (t) => {
  const bisection = new Bisection();
  bisection.refused(8);
  t.equal(bisection.limit, 4);
  bisection.reset();
  t.equal(bisection.limit, Number.POSITIVE_INFINITY);
});
