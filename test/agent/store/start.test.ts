/** A disk that refuses at the start: the store starts all the same, says what it is, and opens the file when it can (I9). */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { testDir } from '../../test-dir.ts';
import { until } from '../broker/fixture.ts';
import { appendAll, contents, record, storeOn } from './fixture.ts';

/** What stands in the file's way, and what takes it away; each is refused to root too. */
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
    await until(() => store.isOpen);
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
