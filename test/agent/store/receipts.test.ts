/**
 * Rows that wait for a receipt, on a real file: freed by it alone, and still waiting after a restart (I3).
 */

import t from 'tap';
import { testDir } from '../../test-dir.ts';
import { appendAll, bufferFile, storeOn } from './fixture.ts';

const TELEMETRY = { stream: 'telemetry', copies: 1 };

t.test('a row that was accepted stays until the receipt covers it, over a restart', async (t) => {
  const file = bufferFile(testDir(t));
  const first = storeOn(file).store;
  await first.start();
  await appendAll(first, ['a', 'b', 'c', 'd']);
  const { epoch } = first;
  await first.accept({ ...TELEMETRY, epoch, provider: 'aws', first: 1, last: 3, untilReceipt: true });
  t.equal((await first.stats()).rows, 4);
  await first.accept({ ...TELEMETRY, epoch, provider: null, first: 1, last: 1 });
  t.equal((await first.stats()).rows, 3);
  await first.stop();

  const { store } = storeOn(file);
  await store.start();
  t.after(() => store.stop());
  const [state] = store.initialState();
  t.same([...(state?.pending.ranges() ?? [])], [{ first: 2, last: 4 }]);
  t.same([...(state?.accepted.get('aws')?.ranges() ?? [])], [{ first: 2, last: 3 }], 'by whom, too');
  const rows = await store.read(epoch, 'telemetry', 1, 4, 1000);
  t.same(
    rows.map(({ payload }) => Buffer.from(payload).toString()),
    ['b', 'c', 'd'],
    'and can be sent again',
  );
  await store.accept({ ...TELEMETRY, epoch, provider: null, first: 1, last: 4 });
  t.equal((await store.stats()).rows, 0);
});

t.test('a stream that no longer waits for receipts is freed by what was accepted', async (t) => {
  const file = bufferFile(testDir(t));
  const first = storeOn(file).store;
  await first.start();
  await appendAll(first, ['a', 'b']);
  const { epoch } = first;
  await first.accept({ ...TELEMETRY, epoch, provider: 'aws', first: 1, last: 1, untilReceipt: true });
  await first.stop();
  const { store } = storeOn(file);
  await store.start();
  t.after(() => store.stop());
  await store.accept({ ...TELEMETRY, epoch, provider: 'aws', first: 1, last: 1 });
  t.equal((await store.stats()).rows, 1);
});
