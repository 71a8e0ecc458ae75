/** Given-up records are counted, told, and known again after a restart. */
import t from 'tap';
import { Evicted } from '../../../agent/store/evicted.ts';
import { createLogger } from '../../../shared/log.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { appendAll, bufferFile, storeOn, texts } from './fixture.ts';

t.test('each burst is told with its total, the last one too', async (t) => {
  const lines: Array<Record<string, unknown>> = [];
  const clock = new ManualClock();
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(JSON.parse(line)) });
  const evicted = new Evicted(clock, log);
  const gap = { epoch: '1-a', stream: 'low', reason: 'quota' } as const;
  evicted.add([{ ...gap, first: 1, last: 10 }]);
  evicted.add([{ ...gap, first: 11, last: 3202 }]);
  evicted.add([{ ...gap, stream: 'high', reason: 'age', first: 1, last: 3 }]);
  t.match(lines, [
    { event: 'store.given_up', stream: 'low', records: 10, total: 10 },
    { stream: 'high', reason: 'age', records: 3, total: 3, totalOfAll: 3205 },
  ]);
  clock.advance(5000);
  evicted.tell();
  t.equal(lines.length, 2, 'not more often than every ten seconds');
  clock.advance(5000);
  evicted.tell();
  t.match(lines.slice(2), [{ stream: 'low', records: 3192, total: 3202, totalOfAll: 3205 }]);
  evicted.tell();
  t.equal(lines.length, 3, 'nothing twice');
  t.match(evicted.totals(), [{ stream: 'low', records: 3202, lastMs: 0 }, { stream: 'high' }]);
});

t.test('after a restart, gaps that were not delivered are counted as from before it', async (t) => {
  const file = bufferFile(testDir(t));
  const first = storeOn(file).store;
  await first.start();
  await appendAll(first, texts(10));
  await first.giveUp(first.epoch, 'telemetry', 1, 4, 'quota');
  await first.giveUp(first.epoch, 'telemetry', 5, 5, 'corruption');
  t.match(first.evicted, [
    { reason: 'quota', records: 4, before: 0 },
    { reason: 'corruption', records: 1 },
  ]);
  const { epoch } = first;
  await first.stop();
  const second = storeOn(file).store;
  await second.start();
  t.same(second.evicted, [
    { stream: 'telemetry', reason: 'quota', records: 0, before: 4, lastMs: null },
    { stream: 'telemetry', reason: 'corruption', records: 0, before: 1, lastMs: null },
  ]);
  await second.giveUp(epoch, 'telemetry', 6, 6, 'quota');
  t.match(second.evicted, [{ reason: 'quota', records: 1, before: 4 }, { reason: 'corruption' }]);
  const { usedBytes, limitBytes } = second.space;
  t.ok(usedBytes > 0 && usedBytes < limitBytes, 'and what is taken of the bound is known');
  await second.stop();
});
