/** A buffer whose file is encrypted: it holds what it held, and a wrong key is not taken for damage. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { testDir } from '../../test-dir.ts';
import { appendAll, bufferFile, contents, noise, storeOn } from './fixture.ts';

const KEY = Buffer.alloc(32, 7);
const TEXT = 'a reading that nobody may read';

t.test('records outlive a restart, and their text is in no file', async (t) => {
  const folder = testDir(t);
  const file = bufferFile(folder);
  const { store } = storeOn(file, { key: KEY });
  await store.start();
  await appendAll(store, [TEXT, TEXT]);
  const { epoch } = store;
  const inClear = readdirSync(folder).filter((name) => readFileSync(join(folder, name)).includes('dev-1'));
  t.same(inClear, []);
  await store.stop();

  for (const key of [null, Buffer.alloc(32, 8)]) {
    const { store } = storeOn(file, { key });
    await t.rejects(store.start(), {
      exitCode: 78,
      message: /is encrypted with the key [0-9a-f]{16}.* buffer\.encryption_key/,
    });
  }
  t.notOk(
    readdirSync(folder).some((name) => name.includes('damaged')),
    'nothing is set aside',
  );
  const { store: next } = storeOn(file, { key: KEY });
  await next.start();
  t.same([...(await contents(next, epoch)).values()], [TEXT, TEXT]);
  await next.stop();
});

t.test('a buffer in clear is encrypted at the start with a key', async (t) => {
  const file = bufferFile(testDir(t));
  const { store } = storeOn(file);
  await store.start();
  await appendAll(store, [TEXT]);
  const { epoch } = store;
  await store.stop();
  const { store: next } = storeOn(file, { key: KEY });
  await next.start();
  t.same([...(await contents(next, epoch)).values()], [TEXT]);
  t.notOk(readFileSync(file).includes('dev-1'));
  await next.stop();
});

t.test('the readable part of a damaged encrypted buffer is salvaged (I9)', async (t) => {
  const folder = testDir(t);
  const file = bufferFile(folder);
  const { store } = storeOn(file, { key: KEY });
  await store.start();
  for (let i = 0; i < 8; i += 1) await appendAll(store, [noise(20_000)]);
  const { epoch } = store;
  await store.stop();
  const bytes = readFileSync(file);
  // The last pages hold chunks; each page has a tag that no longer fits.
  bytes.fill(0xaa, bytes.length - 5 * 4096, bytes.length - 4 * 4096);
  writeFileSync(file, bytes);
  const { store: next, lines } = storeOn(file, { key: KEY });
  await next.start();
  t.ok(
    readdirSync(folder).some((name) => name.startsWith('buffer.db.damaged')),
    'it is set aside',
  );
  t.ok(lines.some(({ event }) => event === 'store.damaged') || next.damage.files === 1);
  const kept = (await contents(next, epoch)).size;
  t.ok(kept > 0 && kept < 8, `${kept} of 8 records are read`);
  await next.stop();
});
