import t from 'tap';
import { HeapGrowth } from '../../agent/heap.ts';
import { ManualClock } from '../manual-clock.ts';

t.test('the heap is held small in calm hours, and may grow in a storm', async (t) => {
  const clock = new ManualClock();
  const limits: number[] = [];
  let records = 0;
  const heap = new HeapGrowth({ records: () => records, clock, limit: (percent) => limits.push(percent) });
  await heap.start();
  const second = (more: number): void => {
    records += more;
    clock.advance(1000);
  };
  for (const more of [2000, 2000, 50_000, 50_000, 9999, 0]) second(more);
  t.strictSame(limits, [20, 0, 20]);
  await heap.stop();
  second(50_000);
  t.equal(limits.length, 3, 'nothing changes after the stop');
});

t.test('the real flag is taken by V8 while the process runs', async (t) => {
  const heap = new HeapGrowth({ records: () => 0, clock: new ManualClock() });
  await t.resolves(heap.start());
  await heap.stop();
});
