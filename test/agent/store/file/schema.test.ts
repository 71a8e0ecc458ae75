/** Files of earlier versions are brought forward, with their records under their own ids (I2). */

import Database from 'better-sqlite3';
import t from 'tap';
import { IntervalSet } from '../../../../shared/interval-set.ts';
import { testDir } from '../../../test-dir.ts';
import { appendAll, bufferFile, contents, storeOn, texts } from '../fixture.ts';

/** As version 1 made it: a row per record. */
const VERSION_1 = `
  PRAGMA auto_vacuum = INCREMENTAL;
  PRAGMA journal_mode = WAL;
  CREATE TABLE epoch (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, boot_id TEXT NOT NULL,
    offset_ms REAL NOT NULL, quality TEXT NOT NULL) STRICT;
  CREATE TABLE stream (id INTEGER PRIMARY KEY, epoch TEXT NOT NULL, name TEXT NOT NULL, last_seq INTEGER NOT NULL,
    bytes INTEGER NOT NULL, freed BLOB NOT NULL, end_announced INTEGER NOT NULL, UNIQUE (epoch, name)) STRICT;
  CREATE TABLE accepted (stream INTEGER NOT NULL, provider TEXT NOT NULL, ranges BLOB NOT NULL,
    PRIMARY KEY (stream, provider)) STRICT, WITHOUT ROWID;
  CREATE TABLE gap (stream INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (stream, first)) STRICT, WITHOUT ROWID;
  CREATE TABLE record (stream INTEGER NOT NULL, seq INTEGER NOT NULL, mono_ms REAL NOT NULL, device TEXT NOT NULL,
    topic TEXT NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (stream, seq)) STRICT, WITHOUT ROWID;
  INSERT INTO epoch VALUES (7, '7-0123abcd', 'boot-0', 5, 'synchronised');
  PRAGMA user_version = 1;
`;

t.test('a file of version 1: rows become chunks, ids stay', async (t) => {
  const file = bufferFile(testDir(t));
  const old = new Database(file);
  old.exec(VERSION_1);
  const freed = IntervalSet.of([
    { first: 1, last: 4 },
    { first: 300, last: 310 },
  ]);
  const insert = old.prepare('INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)');
  for (const [id, name] of ['telemetry', 'alarm'].entries()) {
    old
      .prepare('INSERT INTO stream VALUES (?, ?, ?, 1000, 1, ?, 0)')
      .run(id, '7-0123abcd', name, freed.encode());
    for (let seq = 1; seq <= 1000; seq++) {
      if (!freed.has(seq))
        insert.run(id, seq, seq * 1.5, `d-${seq % 3}`, `${name}/t`, Buffer.from(`${name} ${seq}`));
    }
  }
  old.close();

  const { store } = storeOn(file);
  await store.start();
  t.match(store.epoch, /^8-/);
  for (const name of ['telemetry', 'alarm']) {
    const found = await contents(store, '7-0123abcd', name);
    const expected = Array.from({ length: 1000 }, (_, i) => i + 1).filter((seq) => !freed.has(seq));
    t.same(
      [...found],
      expected.map((seq) => [seq, `${name} ${seq}`]),
    );
  }
  const [second] = await store.read('7-0123abcd', 'alarm', 6, 6, 1000);
  t.match(second, { device: 'd-0', topic: 'alarm/t', monoMs: 9 });
  t.same(await appendAll(store, texts(2)), [1, 2]);
  await store.stop();
  const now = new Database(file);
  t.equal(now.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'record'").pluck().get(), 0);
  now.close();
});

t.test('a file of version 3: messages that wait for clients keep their places', async (t) => {
  const file = bufferFile(testDir(t));
  const first = storeOn(file).store;
  await first.start();
  await first.writeSessions([{ kind: 'will', client: 'a', key: '', value: Buffer.from('w') }]);
  await first.stop();
  const old = new Database(file);
  old.exec('DROP TABLE session_queue; PRAGMA user_version = 3');
  for (const [client, key] of [
    ['a', '7'],
    ['b', '10'],
    ['a', '11'],
  ] as const)
    old.prepare("INSERT INTO session_item VALUES ('outgoing', ?, ?, ?)").run(client, key, Buffer.from(key));
  old.close();

  const { store } = storeOn(file);
  await store.start();
  await store.writeSessions([{ kind: 'outgoing', client: 'b', key: '10', value: null }]);
  await store.stop();
  const again = storeOn(file).store;
  await again.start();
  t.same(
    again
      .takeSessions()
      .map(({ kind, client, key, value }) => `${kind} ${client} ${key} ${Buffer.from(value ?? '')}`),
    ['will a  w', 'outgoing a 7 7', 'outgoing a 11 11'],
  );
  t.same(again.takeSessions(), [], 'they are held once');
  await again.stop();
});
