import t from 'tap';
import { SparseLog } from '../../shared/sparse-log.ts';
import { ManualClock } from '../manual-clock.ts';

function logged(periodMs?: number) {
  const lines: Array<Record<string, unknown>> = [];
  const clock = new ManualClock();
  const log = new SparseLog({
    log: { warn: (fields) => lines.push(fields) },
    clock,
    ...(periodMs !== undefined && { periodMs }),
  });
  return { lines, clock, log };
}

t.test('one line per key and period; the next says how many were left out', async (t) => {
  const { lines, clock, log } = logged(10_000);
  log.warn('refused', { reason: 'a' }, 'a');
  log.warn('refused', { reason: 'a' }, 'a');
  log.warn('refused', { reason: 'b' }, 'b');
  clock.advance(9999);
  log.warn('refused', { reason: 'a' }, 'a');
  clock.advance(1);
  log.warn('refused', { reason: 'a' }, 'a');
  t.same(lines, [
    { event: 'refused', reason: 'a' },
    { event: 'refused', reason: 'b' },
    { event: 'refused', reason: 'a', suppressed: 2 },
  ]);
});

t.test('fields may be made from how many were left out, when there is a line', async (t) => {
  const { lines, clock, log } = logged();
  let asked = 0;
  const fields = (suppressed: number) => {
    asked += 1;
    return { count: suppressed + 1 };
  };
  for (let i = 0; i < 5; i++) log.warn('full', fields);
  t.equal(asked, 1);
  clock.advance(1000);
  log.warn('full', fields);
  t.same(lines, [
    { event: 'full', count: 1 },
    { event: 'full', count: 5 },
  ]);
});
