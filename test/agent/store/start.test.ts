/**
 * A disk that refuses at the start: the store starts all the same, names the state, and opens the file when
 * it can (I9).
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, contents, noise, record, storeOn, untilOpen } from './fixture.ts';

/** Obstacles in the file's way, and their removal; each is refused to root too. */
const OBSTACLES: ReadonlyArray<{
  state: string;
  put: (file: string) => void;
  remove: (file: string) => void;
}> = [
  {
    state: 'missing',
    put: () => undefined,
    remove: (file) => mkdirSync(dirname(dirname(file))),
  },
  {
    state: 'failed',
    put: (file) => mkdirSync(file, { recursive: true }),
    remove: (file) => rmSync(file, { recursive: true }),
  },
];

for (const { state, put, remove } of OBSTACLES) {
  t.test(`${state} at the start`, async (t) => {
    const folder = join(testDir(t), 'mount', 'data');
    const file = join(folder, 'buffer.db');
    put(file);
    const { store, lines } = storeOn(file, { reserveBytes: 2 ** 20 });
    let reopened = 0;
    store.onReopen(() => {
      reopened += 1;
    });
    await store.start();
    t.match(store, { isOpen: false, epoch: '' });
    t.equal(store.state(), state);
    t.strictSame(store.initialState(), []);
    await t.rejects(store.append(record('early')), { code: 'failed', disk: state });
    await t.rejects(store.read('1-00000000', 'telemetry', 1, 1, 1), { code: 'failed' });
    const noted = store.acceptSeal('1-00000000', 'telemetry');
    t.match(lines, [{ event: 'store.state', level: 'error', state, folder, error: /./ }]);
    if (state === 'missing') t.notOk(existsSync(folder), 'nothing is made where a mount may be missing');
    remove(file);
    await untilOpen(store);
    t.equal(store.state(), 'ok');
    t.equal(reopened, 1, 'who waits for the file is told');
    await noted;
    t.same(await appendAll(store, ['a', 'b']), [1, 2]);
    t.same([...(await contents(store, store.epoch)).values()], ['a', 'b'], 'what was refused is not there');
    await store.stop();
  });
}

t.test('a stop while the disk is still away', async (t) => {
  const { store } = storeOn(join(testDir(t), 'gone', 'data', 'buffer.db'));
  await store.start();
  await store.stop();
  t.notOk(store.isOpen);
});

t.test('what no disk does ends the start: a file that another process has', async (t) => {
  const file = join(testDir(t), 'buffer.db');
  const { store: owner } = storeOn(file);
  await owner.start();
  const { store: second } = storeOn(file);
  await t.rejects(second.start(), { code: 'locked' });
  await owner.stop();
});

t.test(
  'memory: goes on without the file, in so much memory, and has its ids when the file is open',
  async (t) => {
    const folder = join(testDir(t), 'mount', 'data');
    const named = (kind: 'fsync' | 'memory') => ({
      durability: { kind },
      priority: 5,
      maxBytes: null,
      maxAgeMs: null,
      whenFull: 'evict' as const,
    });
    const limits = { maxBytes: 2 ** 30, streams: { live: named('memory'), telemetry: named('fsync') } };
    const { store, lines } = storeOn(join(folder, 'buffer.db'), { limits });
    await store.start();
    t.same(await appendAll(store, ['a', 'b'], 'live'), [0, 0], 'acknowledged, no id yet');
    await t.rejects(store.append(record('c')), { code: 'failed', disk: 'missing' });
    t.match(store.lossWindows(), [{ stream: 'live', records: 2 }]);
    const megabyte = noise(2 ** 20);
    let taken = 0;
    while (
      taken < 100 &&
      (await store.append(record(megabyte, 'live')).then(
        () => true,
        () => false,
      ))
    )
      taken += 1;
    t.equal(taken, 15, 'bounded (I10)');
    mkdirSync(dirname(folder));
    await untilOpen(store);
    t.same(await appendAll(store, ['d'], 'live'), [18], 'after those that waited');
    const kept = await contents(store, store.epoch, 'live');
    t.same([kept.get(1), kept.get(2), kept.get(18)], ['a', 'b', 'd']);
    t.same(store.lossWindows(), []);
    rmSync(dirname(folder), { recursive: true });
    await until('the file is closed', () => !store.isOpen);
    await store.append(record('lost', 'live'));
    await store.stop();
    t.match(lines.at(-1), { event: 'store.lost', stream: 'live', records: 1 });
  },
);
