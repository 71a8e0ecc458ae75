/**
 * When a record is acknowledged, by the durability class of its stream, and the records that a loss would
 * cost (I1).
 */

import Database from 'better-sqlite3';
import t from 'tap';
import type { Durability, StoreLimits } from '../../../agent/store/limits.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, contents, noise, record, storeOn, texts } from './fixture.ts';

function classes(streams: Record<string, Durability>): StoreLimits {
  const entries = Object.entries(streams).map(([name, durability]) => [
    name,
    { durability, priority: 5, maxBytes: null, maxAgeMs: null, whenFull: 'evict' as const },
  ]);
  return { maxBytes: 2 ** 30, streams: Object.fromEntries(entries) };
}

t.test('interval: acknowledged from memory, one commit for all when the time is up', async (t) => {
  const file = bufferFile(testDir(t));
  const interval = { kind: 'interval', intervalMs: 300 } as const;
  const { store } = storeOn(file, {
    limits: classes({ slow: interval, other: { ...interval, intervalMs: 900 } }),
  });
  await store.start();
  const heard: unknown[] = [];
  store.onCommit((committed) => heard.push(...committed));
  const before = (await store.stats()).commits;
  t.same(await appendAll(store, texts(40), 'slow'), Array(40).fill(0), 'no id yet');
  t.same(await appendAll(store, texts(2), 'other'), [0, 0]);
  const [slow, other] = store.lossWindows();
  t.match(slow, { stream: 'slow', records: 40 });
  t.match(other, { stream: 'other', records: 2 });
  t.equal((await store.stats()).rows, 0);
  await until('all is written', () => store.lossWindows().length === 0);
  t.same(store.lossWindows(), []);
  const { rows, commits } = await store.stats();
  const { payloadBytes, writtenBytes } = store.written;
  t.equal(rows, 42);
  t.equal(commits - before, 1, 'the card is written once');
  t.match(heard, [
    { stream: 'slow', first: 1, last: 40 },
    { stream: 'other', first: 1, last: 2 },
  ]);
  t.ok(payloadBytes > 42 * 20);
  t.ok(writtenBytes === null || writtenBytes >= 0);
  await store.stop();
});

t.test('interval: a clean stop writes what waits; so does a megabyte', async (t) => {
  const file = bufferFile(testDir(t));
  const limits = classes({ telemetry: { kind: 'interval', intervalMs: 60_000 } });
  const { store } = storeOn(file, { limits });
  await store.start();
  const { epoch } = store;
  const full = new Promise((resolve) => store.onCommit(resolve));
  for (let i = 0; i < 12; i++) await store.append(record(noise(100_000)));
  await full;
  await appendAll(store, ['last']);
  await store.stop();
  const { store: after } = storeOn(file, { limits });
  await after.start();
  const found = await contents(after, epoch);
  t.equal(found.size, 13);
  t.equal(found.get(13), 'last');
  await after.stop();
});

t.test('fsync beside interval: nobody who asked for the disk is told before it is there', async (t) => {
  const file = bufferFile(testDir(t));
  const { store } = storeOn(file, {
    limits: classes({ slow: { kind: 'interval', intervalMs: 600_000 } }),
  });
  await store.start();
  await appendAll(store, ['held'], 'slow');
  t.same(await appendAll(store, ['now']), [1]);
  t.equal((await contents(store, store.epoch)).size, 1);
  t.match(store.lossWindows(), [{ stream: 'slow', records: 1 }], 'its commit does not wake the other stream');
  await store.stop();
});

t.test('memory: never in the file, delivered all the same', async (t) => {
  const file = bufferFile(testDir(t));
  const { store } = storeOn(file, { limits: classes({ telemetry: { kind: 'memory' } }) });
  await store.start();
  const { epoch } = store;
  t.same(await appendAll(store, texts(3)), [1, 2, 3]);
  t.same([...(await contents(store, epoch)).values()], texts(3));
  await store.accept({ epoch, stream: 'telemetry', provider: 'aws', first: 1, last: 2, copies: 1 });
  t.equal((await store.stats()).rows, 1);
  t.same([...(await contents(store, epoch)).keys()], [3]);
  await store.stop();

  const found = new Database(file);
  t.equal(found.prepare('SELECT count(*) FROM chunk').pluck().get(), 0);
  t.equal(found.prepare('SELECT count(*) FROM stream').pluck().get(), 0);
  found.close();
  const { store: after } = storeOn(file);
  await after.start();
  t.same(after.initialState(), []);
  await after.stop();
});
