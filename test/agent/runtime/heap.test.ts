import t from 'tap';
import { HeapGrowth } from '../../../agent/runtime/heap.ts';
import { ManualClock } from '../../manual-clock.ts';

t.test('the heap is held small in calm hours, and may grow in a storm and its gusts', async (t) => {
  const clock = new ManualClock();
  const limits: string[] = [];
  let records = 0;
  const limit = (isBusy: boolean): void => void limits.push(`${clock.monoMs() / 1000}s ${isBusy}`);
  const heap = new HeapGrowth({ records: () => records, clock, limit });
  await heap.start();
  const seconds = (count: number, perSecond: number): void => {
    for (let i = 0; i < count * 4; i++) {
      records += perSecond / 4;
      clock.advance(250);
    }
  };
  seconds(30, 2000);
  t.strictSame(limits, ['30s false'], 'half a minute after the start');
  seconds(2, 50_000);
  seconds(20, 9000);
  seconds(1, 10_000);
  seconds(60, 0);
  t.strictSame(limits, ['30s false', '30.25s true', '83s false']);
  await heap.stop();
  seconds(1, 50_000);
  t.equal(limits.length, 3, 'nothing changes after the stop');
});

t.test('the real flags are taken by V8 while the process runs', async (t) => {
  const clock = new ManualClock();
  const heap = new HeapGrowth({ records: () => 0, clock });
  await heap.start();
  t.doesNotThrow(() => clock.advance(60_000));
  await heap.stop();
});
