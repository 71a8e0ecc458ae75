/** Other limits hold from the moment that they are set, for the file and for what waits. */
import t from 'tap';
import type { StoreLimits, StreamLimits } from '../../../agent/store/limits.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, contents, noise, record, storeOn, texts } from './fixture.ts';

const FSYNC: StreamLimits = {
  durability: { kind: 'fsync' },
  priority: 5,
  maxBytes: null,
  maxAgeMs: null,
  whenFull: 'evict',
};

function limits(telemetry: Partial<StreamLimits>): StoreLimits {
  return { maxBytes: 2 ** 30, streams: { telemetry: { ...FSYNC, ...telemetry } } };
}

t.test('a stream that was in memory alone is written with all its records (I1)', async (t) => {
  const file = bufferFile(testDir(t));
  const { store } = storeOn(file, { limits: limits({ durability: { kind: 'memory' } }) });
  await store.start();
  await appendAll(store, texts(30));
  await store.accept({
    epoch: store.epoch,
    stream: 'telemetry',
    provider: 'a',
    first: 3,
    last: 9,
    copies: 2,
  });
  await store.giveUp(store.epoch, 'telemetry', 1, 2, 'corruption');
  const { epoch } = store;
  void store.setLimits(limits({}));
  t.strictSame(await appendAll(store, texts(5, 31)), [31, 32, 33, 34, 35], 'the same numbers go on');
  await store.stop();

  const { store: again } = storeOn(file, { limits: limits({}) });
  await again.start();
  const [state] = again.initialState();
  t.match(state, { epoch, stream: 'telemetry', sealedAt: 35, gaps: [{ first: 1, last: 2 }] });
  t.strictSame([...(state?.pending.ranges() ?? [])], [{ first: 3, last: 35 }]);
  t.strictSame([...(state?.accepted.get('a')?.ranges() ?? [])], [{ first: 3, last: 9 }]);
  t.strictSame([...(await contents(again, epoch)).values()], texts(33, 3));
  await again.stop();
});

t.test(
  'records that were acknowledged from memory keep their time; new ones wait for the disk',
  async (t) => {
    const file = bufferFile(testDir(t));
    const interval = { kind: 'interval', intervalMs: 60_000 } as const;
    const { store } = storeOn(file, { limits: limits({ durability: interval }) });
    await store.start();
    t.strictSame(await appendAll(store, texts(2)), [0, 0]);
    void store.setLimits(limits({}));
    t.strictSame(await appendAll(store, texts(1, 3)), [1], 'acknowledged from the disk');
    t.match(store.lossWindows(), [{ stream: 'telemetry', records: 2 }]);
    await store.stop();
    const { store: again } = storeOn(file);
    await again.start();
    t.equal((await again.stats()).rows, 3);
    await again.stop();
  },
);

t.test('bounds, ages and refusals hold without another start', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)), { limits: limits({}) });
  await store.start();
  await appendAll(
    store,
    Array.from({ length: 20 }, () => noise(10_000)),
  );
  const gaps: unknown[] = [];
  store.onGaps((found) => gaps.push(...found));
  await store.setLimits(limits({ maxBytes: 50_000 }));
  await appendAll(store, [noise(10_000)]);
  t.ok(gaps.length > 0, 'above its new bound the oldest leave');
  await store.setLimits(limits({ maxBytes: 1000, whenFull: 'reject' }));
  await t.rejects(store.append(record(noise(2000))), { code: 'full' });
  await store.setLimits(limits({ maxAgeMs: 1 }));
  await until('all are too old', async () => (await store.stats()).rows === 0);
  await store.stop();
});
