/**
 * The states of a failing disk, and a folder that goes away and comes back (I9). The disks themselves fail in
 * test/faulty-disk.
 */

import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { DISK_ADVICE, DISK_STATES, diskStateOf } from '../../../agent/store/disk-state.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, contents, record, storeOn, untilState } from './fixture.ts';

t.test('errors of SQLite and of the system have a name', async (t) => {
  const named: Array<[code: string, state: string]> = [
    ['SQLITE_FULL', 'disk-full'],
    ['ENOSPC', 'disk-full'],
    ['EDQUOT', 'disk-full'],
    ['SQLITE_READONLY_DIRECTORY', 'read-only'],
    ['EROFS', 'read-only'],
    ['SQLITE_IOERR_FSYNC', 'io-error'],
    ['EIO', 'io-error'],
    ['ENOENT', 'missing'],
    ['ESTALE', 'missing'],
    ['SQLITE_CANTOPEN', 'failed'],
    ['EACCES', 'failed'],
  ];
  for (const [code, state] of named) t.equal(diskStateOf(new Database.SqliteError('', code)), state, code);
  t.equal(diskStateOf(new Error('without a code')), 'failed');
  t.equal(diskStateOf('not an error'), 'failed');
  for (const state of DISK_STATES) {
    t.equal(DISK_ADVICE[state] === null, state === 'ok' || state === 'failed', `advice for ${state}`);
  }
});

t.test('the folder is moved away: no fresh buffer in its place; it comes back: all is there', async (t) => {
  const place = testDir(t, { data: {} });
  const data = join(place, 'data');
  const { store, lines } = storeOn(join(data, 'buffer.db'));
  await store.start();
  t.equal(store.state(), 'ok');
  const { epoch } = store;
  await appendAll(store, ['a', 'b']);
  renameSync(data, join(place, 'elsewhere'));
  await untilState(store, 'missing');
  await t.rejects(store.append(record('c')), { code: 'failed', disk: 'missing' });
  const failures = (): number => lines.filter(({ event }) => event === 'store.reopen_failed').length;
  await until('the file is tried again twice', () => failures() >= 2);
  t.notOk(existsSync(data), 'nothing is created where it was');
  renameSync(join(place, 'elsewhere'), data);
  await untilState(store, 'ok');
  t.same([...(await contents(store, epoch)).values()], ['a', 'b']);
  t.same(await appendAll(store, ['c']), [1], 'under a new epoch');
  t.match(
    lines.filter(({ event }) => event === 'store.state'),
    [{ state: 'ok' }, { state: 'missing', level: 'error', advice: /mount/ }, { state: 'ok', level: 'info' }],
  );
  await store.stop();
});

t.test('the file is deleted under a running store: noticed, and a new one is begun', async (t) => {
  const place = testDir(t, { data: {} });
  const file = join(place, 'data', 'buffer.db');
  const { store } = storeOn(file);
  await store.start();
  const { epoch } = store;
  await appendAll(store, ['a']);
  for (const part of ['', '-wal']) rmSync(file + part);
  await untilState(store, 'missing');
  await untilState(store, 'ok');
  t.not(store.epoch, epoch);
  t.same(await appendAll(store, ['b']), [1]);
  await store.stop();
});

t.test(
  'the reserve is made beside the file, kept when it is there, and not made where there is none',
  async (t) => {
    const place = testDir(t, { with: {}, without: {} });
    const reserved = storeOn(join(place, 'with', 'buffer.db'), { reserveBytes: 2 ** 20 });
    await reserved.store.start();
    t.ok(existsSync(join(place, 'with', 'buffer.db.reserve')));
    await reserved.store.stop();
    t.ok(existsSync(join(place, 'with', 'buffer.db.reserve')), 'for the next start on a full disk');
    const none = storeOn(join(place, 'without', 'buffer.db'));
    await none.store.start();
    t.notOk(existsSync(join(place, 'without', 'buffer.db.reserve')));
    await none.store.stop();
  },
);
