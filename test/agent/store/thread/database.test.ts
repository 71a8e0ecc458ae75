import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import type { RecordColumns } from '../../../../agent/store/protocol.ts';
import { BufferDatabase } from '../../../../agent/store/thread/database.ts';
import { openFile, pragmaNumber } from '../../../../agent/store/thread/open-file.ts';
import { testDir } from '../../../test-dir.ts';
import { bufferFile, columnsOf, record, storeOn } from '../fixture.ts';

const CLOCK = { bootId: 'b', offsetMs: 0, quality: 'unsynchronised' } as const;

function columns(count: number): RecordColumns {
  return columnsOf(Array.from({ length: count }, () => ({ ...record(''), payload: new Uint8Array(1000) })));
}

t.test(
  'a commit is synced: synchronous reads back FULL in WAL mode, also after the first write (I1)',
  async (t) => {
    const { db } = openFile(bufferFile(testDir(t)));
    db.exec("INSERT INTO epoch (name, boot_id, offset_ms, quality) VALUES ('e', 'b', 0, 'x')");
    t.equal(pragmaNumber(db, 'synchronous'), 2);
    t.equal(db.pragma('journal_mode', { simple: true }), 'wal');
    t.equal(pragmaNumber(db, 'auto_vacuum'), 2);
    t.ok(pragmaNumber(db, 'journal_size_limit') > 0);
    db.close();
  },
);

t.test('nothing is added behind a log that was found: it is copied into the file first (I1)', async (t) => {
  const folder = testDir(t);
  const file = bufferFile(folder);
  const first = new BufferDatabase(file, 'aaaaaaaa', CLOCK);
  first.commit(columns(10), []);
  const left = join(folder, 'left.db');
  for (const part of ['', '-wal']) copyFileSync(file + part, left + part);
  first.close();
  const found = readFileSync(`${left}-wal`);
  const second = new BufferDatabase(left, 'bbbbbbbb', CLOCK);
  second.commit(columns(10), []);
  const log = readFileSync(`${left}-wal`);
  // Salt of the log, new whenever it is begun anew: sqlite.org/fileformat2.html#the_write_ahead_log
  t.notSame(log.subarray(16, 24), found.subarray(16, 24), 'another log');
  second.close();
});

t.test('a second process cannot have the file at the same time', async (t) => {
  const file = bufferFile(testDir(t));
  const held = new Database(file);
  held.pragma('locking_mode = EXCLUSIVE');
  held.exec('CREATE TABLE x (y); BEGIN EXCLUSIVE');
  const { store } = storeOn(file);
  await t.rejects(store.start(), { name: 'StoreError', code: 'locked' });
  held.close();
});

t.test('a file of a newer version is refused and left alone', async (t) => {
  const file = bufferFile(testDir(t));
  const { db } = openFile(file);
  db.pragma('user_version = 99');
  db.close();
  const { store } = storeOn(file);
  await t.rejects(store.start(), { exitCode: 78, message: /schema version 99.*update headgate/ });
  const found = new Database(file);
  t.equal(pragmaNumber(found, 'user_version'), 99);
  t.equal(found.prepare('SELECT count(*) FROM epoch').pluck().get(), 0);
  found.close();
});

t.test('delivered gaps are forgotten, part by part', async (t) => {
  const file = bufferFile(testDir(t));
  const first = new BufferDatabase(file, 'aaaaaaaa', CLOCK);
  first.commit(columns(10), []);
  first.close();
  const { db } = openFile(file);
  db.exec("INSERT INTO gap SELECT id, 3, 8, 'quota' FROM stream");
  db.exec("INSERT INTO gap SELECT id, 9, 9, 'age' FROM stream");
  db.close();

  const second = new BufferDatabase(file, 'bbbbbbbb', CLOCK);
  const gaps = () => second.opened().streams[0]?.gaps;
  t.same(gaps(), [
    { first: 3, last: 8, reason: 'quota' },
    { first: 9, last: 9, reason: 'age' },
  ]);
  const epoch = '1-aaaaaaaa';
  second.commit(columns(0), [{ kind: 'accept-gap', epoch, stream: 'telemetry', first: 5, last: 9 }]);
  t.same(gaps(), [{ first: 3, last: 4, reason: 'quota' }]);
  second.close();

  const third = new BufferDatabase(file, 'cccccccc', CLOCK);
  t.same(third.opened().streams[0]?.gaps, [{ first: 3, last: 4, reason: 'quota' }], 'durably');
  const end = third.commit(columns(0), [
    { kind: 'accept-seal', epoch, stream: 'telemetry' },
    { kind: 'accept', epoch, stream: 'telemetry', provider: 'aws', first: 1, last: 10, copies: 1 },
  ]);
  t.match(end, { freedRows: 10, endedEpochs: [] }, 'a gap is still to be delivered');
  t.same(
    third.commit(columns(0), [{ kind: 'accept-gap', epoch, stream: 'telemetry', first: 1, last: 10 }])
      .endedEpochs,
    [epoch],
  );
  third.close();
});

t.test('freed pages go back to the file system in slices (I10)', async (t) => {
  const file = bufferFile(testDir(t));
  const buffer = new BufferDatabase(file, 'aaaaaaaa', CLOCK);
  for (let i = 0; i < 10; i++) buffer.commit(columns(1000), []);
  const accept = { stream: 'telemetry', provider: 'aws', first: 1, last: 10_000, copies: 1 };
  const freed = buffer.commit(columns(0), [{ kind: 'accept', epoch: buffer.epoch, ...accept }]);
  t.match(freed, { freedRows: 10_000, freedBytes: 10_000 * 1021 });
  for (let i = 0; i < 40; i++) buffer.vacuum();
  buffer.close();
  const found = new Database(file);
  const pages = pragmaNumber(found, 'page_count');
  t.ok(pages < 1024 + 256, `${pages} pages left of more than 2500; some are kept for new rows`);
  t.equal(found.pragma('integrity_check', { simple: true }), 'ok');
  found.close();
});
