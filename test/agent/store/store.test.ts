import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { StoreError, type StreamState } from '../../../agent/store/types.ts';
import { testDir } from '../../test-dir.ts';
import { appendAll, bufferFile, contents, noise, record, refusingAt, storeOn, texts } from './fixture.ts';

const FIRST_ID = { epoch: /^1-[0-9a-f]{8}$/ };

function ranges(state: StreamState | undefined): Array<[number, number]> {
  return [...(state?.pending.ranges() ?? [])].map(({ first, last }) => [first, last]);
}

t.test('gives dense seqs per stream and reads back what was put in', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)));
  await store.start();
  t.match({ epoch: store.epoch }, FIRST_ID);
  t.same(await appendAll(store, texts(5)), [1, 2, 3, 4, 5]);
  t.same(await appendAll(store, ['x'], 'alarm'), [1]);
  t.same(await appendAll(store, ['p6']), [6]);

  const [first, second] = await store.read(store.epoch, 'telemetry', 2, 3, 1000);
  t.match(first, { seq: 2, device: 'dev-1', topic: 'plant/dev-1/temp', monoMs: 13 });
  t.equal(Buffer.from(second?.payload ?? []).toString(), 'p3');
  const one = 'p2'.length + 'dev-1'.length + 'plant/dev-1/temp'.length;
  const seqs = async (maxBytes: number) =>
    (await store.read(store.epoch, 'telemetry', 2, 100, maxBytes)).map(({ seq }) => seq);
  t.same(await seqs(2 * one), [2, 3], 'stops after maxBytes');
  t.same(await seqs(1), [2], 'but gives at least one');
  t.same(await store.read(store.epoch, 'nothing', 1, 100, 1000), []);
  await store.stop();
  await t.rejects(store.append(record('late')), { name: 'StoreError', code: 'stopped' });
});

t.test('copies the payload before append returns: the caller may reuse its memory', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)));
  await store.start();
  const pool = Buffer.alloc(65_536, 'a');
  const appended = store.append({ ...record(''), payload: pool.subarray(100, 103) });
  pool.fill('b');
  await appended;
  t.same([...(await contents(store, store.epoch)).values()], ['aaa']);
  t.same(await appendAll(store, ['', 'é']), [2, 3], 'an empty payload is a payload');
  t.same([...(await contents(store, store.epoch)).values()], ['aaa', '', 'é']);
  await store.stop();
});

t.test('many appends share few commits, and listeners hear of dense ranges', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)));
  await store.start();
  const heard: Array<{ stream: string; first: number; last: number }> = [];
  store.onCommit((committed) => heard.push(...committed));
  const seqs = await appendAll(store, texts(5000));
  t.same(
    seqs,
    Array.from({ length: 5000 }, (_, i) => i + 1),
  );
  const { commits, rows, bytes, fileBytes, walBytes } = await store.stats();
  t.ok(commits <= 5, `${commits} commits`);
  t.equal(rows, 5000);
  t.equal(bytes, texts(5000).join('').length + 5000 * ('dev-1'.length + 'plant/dev-1/temp'.length));
  t.ok(fileBytes + walBytes > 0);
  t.equal(heard.at(0)?.first, 1);
  t.equal(heard.at(-1)?.last, 5000);
  t.ok(heard.every(({ first }, i) => i === 0 || first === (heard[i - 1]?.last ?? 0) + 1));
  await store.stop();
});

t.test(
  'a restart begins a new epoch and finds what was pending, accepted and not yet announced',
  async (t) => {
    const file = bufferFile(testDir(t));
    const { store: first } = storeOn(file);
    await first.start();
    await appendAll(first, texts(10));
    await appendAll(first, texts(3), 'alarm');
    const epoch = first.epoch;
    const range = { epoch, stream: 'telemetry', first: 1, last: 4 };
    void first.accept({ ...range, provider: 'aws', copies: 1 });
    void first.accept({ ...range, first: 6, last: 8, provider: 'aws', copies: 2 });
    void first.accept({ ...range, first: 8, last: 9, provider: 'gcp', copies: 2 });
    void first.accept({ ...range, stream: 'alarm', last: 3, provider: 'gcp', copies: 1 });
    first.setClock({ bootId: 'boot-1', offsetMs: 777_000, quality: 'synchronised' });
    await first.stop();

    const { store } = storeOn(file, { bootId: 'boot-2' });
    await store.start();
    t.match(store.epoch, /^2-[0-9a-f]{8}$/);
    const [telemetry, alarm] = store.initialState();
    t.match(telemetry, { epoch, stream: 'telemetry', sealedAt: 10, gaps: [] });
    t.same(ranges(telemetry), [
      [5, 7],
      [9, 10],
    ]);
    t.same(
      [...(telemetry?.accepted ?? [])].map(([name, set]) => [name, [...set.ranges()]]),
      [
        ['aws', [{ first: 6, last: 7 }]],
        ['gcp', [{ first: 9, last: 9 }]],
      ],
    );
    const whole = texts(10).map((text) => `${text}dev-1plant/dev-1/temp`);
    t.equal(telemetry?.bytes, whole.join('').length, 'a chunk stays until its last record is free');
    t.match(
      alarm,
      { epoch, stream: 'alarm', sealedAt: 3, bytes: 0 },
      'all delivered, its end is still to be told',
    );
    t.equal(alarm?.pending.size, 0);
    t.match(store.epochs(), [
      { epoch, current: false, clock: { bootId: 'boot-1', offsetMs: 777_000, quality: 'synchronised' } },
      { epoch: store.epoch, current: true, clock: { bootId: 'boot-2', quality: 'unsynchronised' } },
    ]);
    t.same(
      [...(await contents(store, epoch)).keys()],
      [5, 6, 7, 9, 10],
      'rows keep the epoch they were born in',
    );
    t.same(await appendAll(store, ['new']), [1], 'and new ones count from 1 in the new epoch (I2)');

    await store.acceptSeal(epoch, 'alarm');
    await store.acceptSeal(epoch, 'telemetry');
    t.equal(store.epochs().length, 2, 'rows are left');
    await store.accept({ ...range, last: 10, provider: 'azure', copies: 1 });
    t.same(
      store.epochs().map((info) => info.epoch),
      [store.epoch],
      'rows gone and end announced: no trace',
    );
    await store.stop();

    const { store: third } = storeOn(file);
    await third.start();
    t.same(
      third.initialState().map((state) => [state.epoch, state.stream, ...ranges(state)]),
      [[store.epoch, 'telemetry', [1, 1]]],
    );
    t.equal((await third.stats()).rows, 1);
    await third.stop();
  },
);

t.test('an old copy of the file put back gives no epoch twice (I2)', async (t) => {
  const directory = testDir(t);
  const file = bufferFile(directory);
  const epochs: string[] = [];
  const run = async (): Promise<void> => {
    const { store } = storeOn(file);
    await store.start();
    epochs.push(store.epoch);
    await appendAll(store, texts(3));
    await store.stop();
  };
  await run();
  copyFileSync(file, join(directory, 'backup.db'));
  await run();
  copyFileSync(join(directory, 'backup.db'), file);
  await run();
  t.same(
    epochs.map((epoch) => epoch.split('-')[0]),
    ['1', '2', '2'],
    'the counter alone would have repeated',
  );
  t.equal(new Set(epochs).size, 3);
});

t.test('over its bound it refuses, and takes again once rows are freed (I10)', async (t) => {
  const file = bufferFile(testDir(t));
  const maxBytes = 2 ** 20;
  const { store } = storeOn(file, { limits: refusingAt(maxBytes) });
  await store.start();
  // Content that does not compress, so that the file grows by it.
  const big = (): string => noise(4000);
  let refused: unknown;
  let taken = 0;
  for (; refused === undefined; taken++) {
    await store.append(record(big())).catch((error: unknown) => {
      refused = error;
    });
    const { fileBytes, walBytes } = await store.stats();
    t.ok(fileBytes + walBytes <= maxBytes * 1.05, `${fileBytes} and ${walBytes} bytes`);
  }
  t.match(refused, { name: 'StoreError', code: 'full' });
  t.ok(refused instanceof StoreError);
  const { rows } = await store.stats();
  t.equal(rows, taken - 1, 'nothing of the refused one is kept');
  const flood = await Promise.allSettled(Array.from({ length: 50 }, () => store.append(record(big()))));
  t.ok(flood.every(({ status }) => status === 'rejected'));
  t.equal(store.state(), 'ok', 'full is not failed');

  const freed = { epoch: store.epoch, stream: 'telemetry', provider: 'aws', first: 1, last: 10, copies: 1 };
  await store.accept(freed);
  const after = await Promise.allSettled(Array.from({ length: 50 }, () => store.append(record(big()))));
  const room = after.filter(({ status }) => status === 'fulfilled').length;
  t.ok(room >= 5 && room <= 20, `${room} taken after 10 were freed`);
  await store.stop();
});

t.test('acceptances and reads go on between commits', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)));
  await store.start();
  await appendAll(store, texts(2000));
  const appends = appendAll(store, texts(20_000, 2001));
  const order: string[] = [];
  void appends.then(() => order.push('appends'));
  const read = await store.read(store.epoch, 'telemetry', 1, 10, 10_000);
  order.push('read');
  t.equal(read.length, 10);
  await appends;
  t.same(order, ['read', 'appends'], 'a read waits behind at most one commit');
  await store.stop();
});
