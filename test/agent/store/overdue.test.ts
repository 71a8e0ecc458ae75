/**
 * Streams that are acknowledged from memory while the disk does not take their records: the loss does not
 * grow (I1, I9).
 */

import { renameSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { StoreLimits } from '../../../agent/store/limits.ts';
import { ForwardClock } from '../../forward-clock.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, contents, storeOn, texts, untilState } from './fixture.ts';

function heldFor(intervalsMs: Record<string, number>): StoreLimits {
  const streams = Object.entries(intervalsMs).map(([name, intervalMs]) => [
    name,
    {
      durability: { kind: 'interval', intervalMs },
      priority: 5,
      maxBytes: null,
      maxAgeMs: null,
      whenFull: 'evict',
    } as const,
  ]);
  return { maxBytes: 2 ** 30, streams: Object.fromEntries(streams) };
}

t.test(
  'no disk: refused once what is held is twice its interval old; all of it is written later',
  async (t) => {
    const place = testDir(t, { data: {} });
    const data = join(place, 'data');
    const time = new ForwardClock();
    const { store } = storeOn(join(data, 'buffer.db'), {
      limits: heldFor({ brief: 600_000, long: 60_000_000 }),
      clock: time,
    });
    await store.start();
    renameSync(data, join(place, 'elsewhere'));
    await untilState(store, 'missing');
    t.same(await appendAll(store, texts(2), 'brief'), [0, 0]);
    t.same(await appendAll(store, texts(1), 'long'), [0]);
    let taken = 2;
    const refused = async (): Promise<boolean> => {
      try {
        await appendAll(store, [`p${taken + 1}`], 'brief');
        taken += 1;
        return false;
      } catch (error) {
        t.match(error, { code: 'failed', disk: 'missing' }, 'as those who wait for the disk');
        return true;
      }
    };
    time.advance(1_000_000);
    t.equal(await refused(), false, 'not before');
    time.advance(300_000);
    t.equal(await refused(), true);
    t.equal(await refused(), true);
    t.same(await appendAll(store, ['p2'], 'long'), [0], 'each stream by its own interval');
    const loss = Object.fromEntries(store.lossWindows().map(({ stream, records }) => [stream, records]));
    t.same(loss, { brief: taken, long: 2 });
    renameSync(join(place, 'elsewhere'), data);
    await untilState(store, 'ok');
    await until('all is written', () => !store.lossWindows().some(({ stream }) => stream === 'brief'));
    t.same(await appendAll(store, ['after'], 'brief'), [0], 'acknowledged from memory again');
    await store.stop();
    const { store: next } = storeOn(join(data, 'buffer.db'));
    await next.start();
    const [epoch = ''] = next
      .epochs()
      .filter(({ current }) => !current)
      .map(({ epoch }) => epoch);
    t.same([...(await contents(next, epoch, 'brief')).values()], [...texts(taken), 'after']);
    t.same([...(await contents(next, epoch, 'long')).values()], texts(2));
    await next.stop();
  },
);

t.test('a stop without a disk says what it could not write', async (t) => {
  const place = testDir(t, { data: {} });
  const data = join(place, 'data');
  const { store, lines } = storeOn(join(data, 'buffer.db'), {
    limits: heldFor({ brief: 600_000, long: 600_000 }),
  });
  await store.start();
  await appendAll(store, texts(2), 'brief');
  renameSync(data, join(place, 'elsewhere'));
  await untilState(store, 'missing');
  await appendAll(store, texts(3), 'brief');
  await appendAll(store, texts(1), 'long');
  await store.stop();
  t.match(
    lines.filter(({ event }) => event === 'store.lost'),
    [
      { level: 'error', stream: 'brief', records: 5, state: 'missing' },
      { level: 'error', stream: 'long', records: 1, state: 'missing' },
    ],
  );
});

t.test('a disk that is too slow: waited for, in order', async (t) => {
  const time = new ForwardClock();
  const { store, lines } = storeOn(bufferFile(testDir(t)), {
    limits: heldFor({ telemetry: 600_000 }),
    clock: time,
  });
  await store.start();
  const { epoch } = store;
  t.same(await appendAll(store, ['held']), [0]);
  time.advance(1_300_000);
  t.same(await appendAll(store, ['awaited']), [2], 'acknowledged from the disk');
  t.same([...(await contents(store, epoch)).values()], ['held', 'awaited']);
  t.same(await appendAll(store, ['held again']), [0]);
  await store.stop();
  t.notOk(lines.some(({ event }) => event === 'store.lost'));
});
