/** Age limits and space given back hold while records keep coming (I9, I10). */

import t from 'tap';
import type { StoreLimits } from '../../../agent/store/limits.ts';
import type { Store } from '../../../agent/store/store.ts';
import { ForwardClock } from '../../forward-clock.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, noise, record, storeOn, texts } from './fixture.ts';

/** The work of every second comes every 50 ms. */
const clock = new ForwardClock({ periodMsMax: 50 });

function limits(maxAgeMs: number | null): StoreLimits {
  const telemetry = {
    durability: { kind: 'fsync' },
    priority: 5,
    maxBytes: null,
    maxAgeMs,
    whenFull: 'evict',
  } as const;
  return { maxBytes: 16 * 2 ** 20, streams: { telemetry } };
}

function now(text: string): ReturnType<typeof record> {
  return { ...record(text), monoMs: clock.monoMs() };
}

/**
 * Two senders without a pause, so that a commit is always under way, until `isOver`. Returns the last seq;
 * `bornMs` is when each was sent.
 */
async function appendUntil(
  store: Store,
  isOver: () => Promise<boolean> | boolean,
  bornMs: number[] = [],
): Promise<number> {
  let last = 0;
  let isDone = false;
  const sender = async (): Promise<void> => {
    while (!isDone) {
      const sent = now(noise(2000));
      const { seq } = await store.append(sent);
      bornMs[seq - 1] = sent.monoMs;
      last = Math.max(last, seq);
    }
  };
  const senders = [sender(), sender()];
  await until('housekeeping is done', isOver).finally(() => {
    isDone = true;
  });
  await Promise.all(senders);
  return last;
}

t.test('records too old are given up under steady appends, and only those', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)), { limits: limits(500), clock });
  t.teardown(() => store.stop());
  const bornMs: number[] = [];
  const gaps: Array<{ first: number; last: number; reason: string }> = [];
  const agesMs: number[] = [];
  store.onGaps((given) => {
    gaps.push(...given);
    for (const { last } of given) agesMs.push(clock.monoMs() - (bornMs[last - 1] ?? Infinity));
  });
  await store.start();
  await appendUntil(store, () => gaps.length >= 5, bornMs);
  t.match(gaps[0], { first: 1, reason: 'age' });
  t.same(
    gaps.slice(1).map(({ first }) => first),
    gaps.slice(0, -1).map(({ last }) => last + 1),
    'one after the other, and none left out',
  );
  t.ok(Math.min(...agesMs) > 500, `${agesMs}`);
});

t.test('a backlog that is too old leaves in parts, one commit after the other', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)), { limits: limits(300_000), clock });
  t.teardown(() => store.stop());
  const parts: number[] = [];
  store.onGaps((given) => parts.push(given.reduce((sum, { first, last }) => sum + last - first + 1, 0)));
  await store.start();
  for (let i = 0; i < 30; i++)
    await Promise.all(Array.from({ length: 3 }, () => store.append(now(noise(100_000)))));
  const old = 90;
  clock.advance(600_000);
  await appendUntil(store, () => parts.reduce((sum, part) => sum + part, 0) >= old);
  t.ok(parts.length >= 2 && Math.max(...parts) < old, `${parts}`);
});

t.test('unused pages are given back under steady appends', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)), { limits: limits(null), clock });
  t.teardown(() => store.stop());
  await store.start();
  for (let i = 0; i < 40; i++)
    await Promise.all(Array.from({ length: 3 }, () => store.append(now(noise(100_000)))));
  const fileBytes = async (): Promise<number> => (await store.stats()).fileBytes;
  const full = await fileBytes();
  // Records that are delivered at once leave room for the next ones.
  let delivered = 0;
  const deliver = (last: number): void => {
    void store.accept({
      epoch: store.epoch,
      stream: 'telemetry',
      provider: 'aws',
      first: delivered + 1,
      last,
      copies: 1,
    });
    delivered = last;
  };
  deliver(120);
  store.onCommit((committed) => {
    for (const { last } of committed) deliver(last);
  });
  const last = await appendUntil(store, async () => (await fileBytes()) < full - 2 ** 20);
  t.ok(last > 120, `${full} bytes, then ${await fileBytes()}`);
  t.ok((await fileBytes()) > 2 * 2 ** 20, 'some room is kept for new rows');
  t.equal((await appendAll(store, texts(1)))[0], last + 1);
});
