/**
 * A disk or a file that fails: intake is refused while it lasts, goes on afterwards, and no id comes twice
 * (I2, I9).
 */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, fstatSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import t from 'tap';
import { testDir } from '../../test-dir.ts';
import { appendAll, bufferFile, contents, noise, record, storeOn, texts } from './fixture.ts';

const APPENDER = fileURLToPath(new URL('./appender.ts', import.meta.url));
const FILE_LIMIT_KIB = 600;

t.test('a file that is no database is set aside, loudly, and intake goes on', async (t) => {
  const directory = testDir(t);
  const file = bufferFile(directory);
  writeFileSync(file, 'not a database, '.repeat(1000));
  const { store, lines } = storeOn(file);
  await store.start();
  t.same(await appendAll(store, ['a']), [1]);
  const movedTo = `${file}.damaged-1`;
  t.match(readFileSync(movedTo, 'utf8'), /^not a database/, 'nothing of it is deleted');
  t.match(
    lines.filter(({ event }) => event === 'store.damaged'),
    [{ level: 'error', movedTo }],
  );
  await store.stop();
});

t.test('a file with a damaged page is set aside with its log', async (t) => {
  const directory = testDir(t);
  const file = bufferFile(directory);
  const { store: first } = storeOn(file);
  await first.start();
  await appendAll(
    first,
    texts(300).map((text) => text + noise(300)),
  );
  const { epoch } = first;
  await first.stop();
  const bytes = readFileSync(file);
  for (let page = 3; page * 4096 < bytes.length; page += 2) bytes.fill(0xa5, page * 4096, page * 4096 + 64);
  writeFileSync(file, bytes);
  writeFileSync(`${file}-wal`, '');

  const { store, lines } = storeOn(file);
  await store.start();
  t.not(store.epoch, epoch);
  t.match(
    store.initialState(),
    [{ epoch, stream: 'telemetry', gaps: [{ first: 1, last: 300, reason: 'corruption' }] }],
    'where nothing can be read, all of it is a gap (I3)',
  );
  t.same(await appendAll(store, texts(3)), [1, 2, 3]);
  t.equal(lines.filter(({ event }) => event === 'store.damaged').length, 1);
  t.ok(existsSync(`${file}.damaged-1`));
  await store.stop();
});

t.test('a file whose pages are well and whose contents are not is set aside as well (I9)', async (t) => {
  const file = bufferFile(testDir(t));
  const { store: first } = storeOn(file);
  await first.start();
  await appendAll(first, ['a']);
  await first.stop();
  const found = new Database(file);
  found.prepare('UPDATE stream SET freed = ?').run(Buffer.alloc(11, 0xff));
  found.close();

  const { store, lines } = storeOn(file);
  await store.start();
  t.match(
    lines.filter(({ event }) => event === 'store.damaged'),
    [{ level: 'error', detail: /^interval set/ }],
  );
  t.same(await appendAll(store, ['b']), [1]);
  await store.stop();
});

/** Writes fail with EFBIG when the file reaches the process's limit: a failing disk, without one. */
const skip = spawnSync('prlimit', ['--version']).status === 0 ? false : 'needs prlimit (util-linux)';
t.test('a failed commit refuses its records; the store reopens under a new epoch', { skip }, async (t) => {
  const file = bufferFile(testDir(t));
  // Node ignores the signal that comes with EFBIG; hooks that the test runner puts into NODE_OPTIONS would
  // end it.
  const command = `unset NODE_OPTIONS; ulimit -S -f ${FILE_LIMIT_KIB}; exec "$0" "$@"`;
  const child = spawn('bash', ['-c', command, process.execPath, APPENDER, file, '2000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const acknowledged = new Map<string, string>();
  const freed = new Set<string>();
  const epochs: string[] = [];
  let refused = 0;
  let afterwards = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [kind, epoch = '', seq = '', payload = ''] = line.split(' ');
    const id = `${epoch}/${seq}`;
    if (kind === 'refused') {
      if (line !== 'refused failed') t.fail(line);
      // Room again after some time: the limit is lifted from outside, as a disk is cleaned up.
      if (++refused === 20) execFileSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited']);
    } else if (kind === 'freed') {
      freed.add(id);
    } else {
      if (acknowledged.has(id)) t.fail(`id given twice: ${id}`);
      acknowledged.set(id, payload);
      if (epochs.at(-1) !== epoch) epochs.push(epoch);
      if (refused >= 20 && ++afterwards === 100) child.kill('SIGKILL');
    }
  }
  t.ok(acknowledged.size > 100, `${acknowledged.size} acknowledged`);
  t.ok(refused >= 20, `${refused} refused while the disk failed`);
  t.ok(epochs.length >= 2, `${epochs.length} epochs in one process`);
  const [first = ''] = epochs;
  const delivered = [...acknowledged.keys()].filter(
    (id) => id.startsWith(first) && Number(id.split('/')[1]) % 2 === 0,
  );
  t.ok(delivered.length > 0);
  t.same(
    delivered.filter((id) => !freed.has(id)),
    [],
    'acceptances that fell into the failed commit were kept and done later',
  );

  const { store } = storeOn(file);
  await store.start();
  for (const epoch of epochs) {
    for (const [seq, payload] of await contents(store, epoch)) {
      const id = `${epoch}/${seq}`;
      const told = acknowledged.get(id);
      if (told !== undefined && !payload.startsWith(told)) t.fail(`${id} holds other content`);
      if (freed.has(id)) t.fail(`${id} was freed`);
      acknowledged.delete(id);
    }
  }
  const lost = [...acknowledged.keys()].filter((id) => Number(id.split('/')[1]) % 2 === 1);
  t.same(lost, [], 'every acknowledged record that was not delivered is there');
  await store.stop();
});

t.test('a file that breaks while it is open is set aside and intake goes on', async (t) => {
  const file = bufferFile(testDir(t));
  const { store, lines } = storeOn(file);
  await store.start();
  // More than SQLite's page cache and its log hold.
  await appendAll(
    store,
    texts(20_000).map((text) => text + noise(1300)),
  );
  const { epoch } = store;
  const reopened = new Promise<void>((resolve) => store.onReopen(resolve));
  const descriptor = openSync(file, 'r+');
  const pages = fstatSync(descriptor).size / 4096;
  const garbage = Buffer.alloc(4096, 0xa5);
  for (let page = 1; page < pages; page++) writeSync(descriptor, garbage, 0, 4096, page * 4096);
  closeSync(descriptor);
  await t.rejects(contents(store, epoch), { name: 'StoreError', code: 'failed' });
  t.equal(store.state(), 'failed');
  t.match(store.lastError, { code: 'failed' });
  await t.rejects(store.append(record('meanwhile')), { code: 'failed' });
  await reopened;
  t.equal(store.state(), 'ok');
  t.not(store.epoch, epoch);
  t.same(await appendAll(store, ['afterwards']), [1]);
  t.equal(lines.filter(({ event }) => event === 'store.damaged').length, 1);
  await store.stop();
});
