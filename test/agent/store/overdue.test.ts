/**
 * Streams that are acknowledged from memory, while the disk does not take what they hold: the loss does not
 * grow (I1, I9).
 */

import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { StoreLimits } from '../../../agent/store/limits.ts';
import type { Store } from '../../../agent/store/store.ts';
import { type Clock, systemClock } from '../../../shared/clock.ts';
import { testDir } from '../../test-dir.ts';
import { appendAll, bufferFile, contents, storeOn, texts } from './fixture.ts';

/** The system's clock, with short pauses between looks at the disk. */
const hurried: Clock = {
  ...systemClock,
  every: (_, run) => systemClock.every(50, run),
  sleep: (delayMs, signal) => systemClock.sleep(Math.min(delayMs, 100), signal),
};

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

async function untilState(store: Store, state: string): Promise<void> {
  for (let tries = 0; store.state() !== state; tries++) {
    if (tries > 500) throw new Error(`${store.state()}, never ${state}`);
    await sleep(20);
  }
}

t.test(
  'no disk: refused once what is held is twice its interval old; all of it is written later',
  async (t) => {
    const place = testDir(t, { data: {} });
    const data = join(place, 'data');
    const { store } = storeOn(join(data, 'buffer.db'), {
      limits: heldFor({ brief: 400, long: 60_000 }),
      clock: hurried,
    });
    await store.start();
    renameSync(data, join(place, 'elsewhere'));
    await untilState(store, 'missing');
    const beganMs = systemClock.monoMs();
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
    while (!(await refused())) await sleep(20);
    t.ok(systemClock.monoMs() - beganMs > 800, 'not before');
    t.ok(taken > 2);
    await sleep(50);
    t.equal(await refused(), true);
    t.same(await appendAll(store, ['p2'], 'long'), [0], 'each stream by its own interval');
    const loss = Object.fromEntries(store.lossWindows().map(({ stream, records }) => [stream, records]));
    t.same(loss, { brief: taken, long: 2 });
    renameSync(join(place, 'elsewhere'), data);
    await untilState(store, 'ok');
    while (store.lossWindows().some(({ stream }) => stream === 'brief')) await sleep(20);
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
    limits: heldFor({ brief: 60_000, long: 60_000 }),
    clock: hurried,
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
  const { store, lines } = storeOn(bufferFile(testDir(t)), { limits: heldFor({ telemetry: 5 }) });
  await store.start();
  const { epoch } = store;
  t.same(await appendAll(store, ['held']), [0]);
  const startMs = systemClock.monoMs();
  while (systemClock.monoMs() - startMs < 20) Math.sqrt(2);
  t.same(await appendAll(store, ['awaited']), [2], 'acknowledged from the disk');
  t.same([...(await contents(store, epoch)).values()], ['held', 'awaited']);
  t.same(await appendAll(store, ['held again']), [0]);
  await store.stop();
  t.notOk(lines.some(({ event }) => event === 'store.lost'));
});
