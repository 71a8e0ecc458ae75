import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import type { SqliteLedgerLimits } from '../../../../router/ledger/sqlite/limits.ts';
import { openLedgerFile } from '../../../../router/ledger/sqlite/schema.ts';
import { StreamTable } from '../../../../router/ledger/sqlite/streams.ts';
import { SCHEMA, STEPS } from '../../../../router/ledger/sqlite/tables.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { createLogger } from '../../../../shared/log.ts';
import { testDir } from '../../../test-dir.ts';
import { runLedgerContract } from '../contract.ts';
import { entry, seqs } from '../envelopes.ts';

await runLedgerContract(t, fileURLToPath(new URL('./engine.ts', import.meta.url)));

async function openIn(t: Test, file: string, limits: Partial<SqliteLedgerLimits> = {}) {
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => void lines.push(line) });
  const ledger = await openSqliteLedger({ file, clock: systemClock, log, limits });
  t.teardown(() => ledger.close());
  return { ledger, lines };
}

/** A second connection, for what only a person with the sqlite3 shell would do. */
function shell(t: Test, file: string): Database.Database {
  const db = new Database(file);
  t.teardown(() => db.close());
  return db;
}

t.test('commits are durable: WAL, synchronous=FULL', async (t) => {
  const db = openLedgerFile(join(testDir(t), 'ledger.db'));
  t.equal(db.pragma('journal_mode', { simple: true }), 'wal');
  t.equal(db.pragma('synchronous', { simple: true }), 2);
  db.close();
});

t.test('files that are not ours are refused with a clear error', async (t) => {
  const folder = testDir(t, { text: 'not a database, but long enough to hold the header of one'.repeat(20) });
  const newer = join(folder, 'newer.db');
  openLedgerFile(newer).close();
  const db = new Database(newer);
  db.pragma('user_version = 99');
  db.close();
  t.throws(() => openLedgerFile(newer), { message: /newer Headgate \(ledger schema 99/ });
  const foreign = join(folder, 'foreign.db');
  const other = new Database(foreign);
  other.exec('CREATE TABLE something (id INTEGER)');
  other.close();
  t.throws(() => openLedgerFile(foreign), { message: /not a Headgate ledger/ });
  t.throws(() => openLedgerFile(join(folder, 'text')), { message: /damaged, or encrypted/, exitCode: 78 });
  await t.rejects(
    openSqliteLedger({ file: newer, clock: systemClock, log: createLogger({ level: 'silent', levels: {} }) }),
  );
});

t.test('a file of version 1 is brought forward with all that it holds', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const old = new Database(file);
  old.exec(SCHEMA);
  old.exec(`PRAGMA user_version = 1;
    INSERT INTO dead_letter VALUES (3, 0, 's', 'cbor', 'd', x'0102', 5), (4, 2, 's', 'magic', 'd', x'03', 6)`);
  old.close();
  const { ledger } = await openIn(t, file, { deadLetters: { rowsMax: 2, bytesMax: 1000 } });
  t.match(await ledger.deadLetters(10), [{ reason: 'magic', properties: {} }, { reason: 'cbor' }]);
  t.match(await ledger.totals(), { deadLetters: 4 });
  const letter = { source: 's', reason: 'new', detail: '', bytes: Buffer.of(1), receivedWallMs: 7 };
  await ledger.deadLetter(letter);
  t.match(
    await ledger.deadLetters(10),
    [{ reason: 'new' }, { reason: 'magic' }],
    'its rows count for the bound',
  );
});

t.test('evidence of a file from before there were accounts counts for its gateway', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const old = new Database(file);
  old.exec(SCHEMA);
  const accounts = STEPS.findIndex((step) => step.includes('dead_letter_account'));
  for (const step of STEPS.slice(0, accounts)) old.exec(step);
  const letter = (id: number, gateway: string) =>
    `(${id}, 's', 'cbor', 'd', zeroblob(100), 5, ${gateway}, '{}')`;
  const version = (id: number, stream: number) =>
    `(${id}, ${stream}, ${id}, 's', 5, 0, 'd', 't', zeroblob(100), 0)`;
  old.exec(`PRAGMA user_version = ${1 + accounts};
    INSERT INTO dead_letter VALUES ${letter(1, "'gw-1'")}, ${letter(2, "'gw-1'")}, ${letter(3, 'NULL')};
    INSERT INTO stream (id, gateway, epoch, stream, seen, gap_quota, gap_age, gap_corruption, duplicates, conflicts)
      VALUES (1, 'gw-1', 'e', 's', x'', x'', x'', x'', 0, 0), (2, 'gw-2', 'e', 's', x'', x'', x'', x'', 0, 0);
    INSERT INTO conflict VALUES ${version(1, 1)}, ${version(2, 2)}, ${version(3, 2)};
    UPDATE kept SET ever = 3, rows = 3, bytes = 300 WHERE name IN ('dead_letter', 'conflict')`);
  old.close();
  const shares = { rows: 1, bytes: 0, groups: [] };
  const limits = { rowsMax: 10, bytesMax: 10_000, shares };
  const { ledger, lines } = await openIn(t, file, { deadLetters: limits, conflicts: limits });
  await ledger.maintenance.expire(0);
  const db = shell(t, file);
  const held = (table: string) => db.prepare(`SELECT id, gateway FROM ${table} WHERE id > 0`).all();
  t.strictSame(held('dead_letter'), [
    { id: 2, gateway: 'gw-1' },
    { id: 3, gateway: '' },
  ]);
  t.strictSame(held('conflict'), [
    { id: 1, gateway: 'gw-1' },
    { id: 3, gateway: 'gw-2' },
  ]);
  t.match(db.prepare("SELECT ever, rows FROM kept WHERE name = 'dead_letter'").get(), { ever: 3, rows: 2 });
  t.match(lines.map((line) => JSON.parse(line))[0], { table: 'dead_letter', gateway: 'gw-1', rows: 1 });
});

t.test('a letter that cannot be added in the middle of it leaves nothing behind', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const shares = { rows: 3, bytes: 0, groups: [] };
  const { ledger } = await openIn(t, file, { deadLetters: { rowsMax: 10, bytesMax: 10_000, shares } });
  const db = shell(t, file);
  const letter = { source: 's', gateway: 'gw-1', reason: 'r', receivedWallMs: 1 };
  const add = (detail: string, bytes = 1) =>
    ledger.deadLetter({ ...letter, detail, bytes: Buffer.alloc(bytes) });
  for (const detail of ['1', '2', '3']) await add(detail);
  db.exec("CREATE TRIGGER full BEFORE DELETE ON dead_letter BEGIN SELECT RAISE(ABORT, 'disk is full'); END");
  for (const detail of ['a', 'b']) await t.rejects(add(detail), { message: /disk is full/ });
  db.exec('DROP TRIGGER full');
  await add('4', 20_000);
  await ledger.maintenance.expire(1);
  const details = (await ledger.deadLetters(9)).map(({ detail }) => detail);
  t.strictSame(details, ['4'], 'the newest stays, whatever its size');
  for (const detail of ['5', '6', '7', '8']) await add(detail);
  t.match(await ledger.deadLetters(9), [{ detail: '8' }, { detail: '7' }, { detail: '6' }]);
  t.match(db.prepare("SELECT ever, rows FROM kept WHERE name = 'dead_letter'").get(), { ever: 8, rows: 3 });
});

t.test('the counted size of evidence is that of the file', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const { ledger } = await openIn(t, file);
  const db = shell(t, file);
  const pages = () => Number(db.pragma('page_count', { simple: true }));
  const counted = db.prepare("SELECT bytes FROM kept WHERE name = 'dead_letter'").pluck();
  for (const length of [10, 200, 1000, 20_000]) {
    const before = { pages: pages(), counted: Number(counted.get()) };
    const letter = { source: 'aws', gateway: 'gateway-0012', reason: 'signature', detail: 'no such key' };
    const came = { bytes: Buffer.alloc(length), receivedWallMs: 1, properties: { topic: 'plant/1/state' } };
    await Promise.all(seqs(1, 300).map(() => ledger.deadLetter({ ...letter, ...came })));
    const ratio = (Number(counted.get()) - before.counted) / ((pages() - before.pages) * 4096);
    t.ok(ratio > 0.75 && ratio < 1.25, `${length} bytes: ${ratio}`);
  }
});

t.test('a file of version 1 keeps the positions of its feeds and the clocks of its boots', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const old = new Database(file);
  old.exec(SCHEMA);
  // As a router made them that knew of leases, but of no version 2.
  old.exec(`CREATE TABLE boot_clock (gateway TEXT NOT NULL, boot_id TEXT NOT NULL, offset_ms REAL NOT NULL,
      PRIMARY KEY (gateway, boot_id)) STRICT, WITHOUT ROWID;
    CREATE TABLE cursor_progress (feed TEXT PRIMARY KEY, progress BLOB NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO boot_clock VALUES ('gw-1', 'boot-1', 1000);
    INSERT INTO cursor VALUES ('nats', 7);
    INSERT INTO cursor_progress VALUES ('nats', x'0102');
    PRAGMA user_version = 1`);
  old.close();
  const { ledger } = await openIn(t, file);
  const progress = Buffer.of(1, 2);
  t.match(await ledger.claimFeedPosition('nats', 'me', 1000), { offset: 7, progress });
  t.ok(await ledger.moveFeedPosition('nats', { offset: 7, progress }, { offset: 8, progress: Buffer.of(3) }));
  await ledger.commit([entry({ seqs: [1], offsetMs: 5, quality: 'unsynchronised' })]);
  t.match(await ledger.read(0, 1), [{ wallMs: 1010, clockQuality: 'corrected' }]);
});

t.test('a commit that fails in the middle leaves nothing, and the next one is right (I5)', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const { ledger } = await openIn(t, file);
  await ledger.commit([entry({ seqs: [1, 2] })]);
  const db = shell(t, file);
  db.exec(`CREATE TRIGGER full BEFORE INSERT ON record WHEN new.seq = 5
           BEGIN SELECT RAISE(ABORT, 'disk is full'); END`);
  const group = [entry({ seqs: [3, 4] }), entry({ seqs: [2, 5, 6] }), entry({ stream: 'alarms', seqs: [1] })];
  await t.rejects(ledger.commit(group), { message: /disk is full/ });
  t.match(await ledger.completeness(), [{ completeTo: 2, records: 2, duplicates: 0 }]);
  t.equal((await ledger.completeness()).length, 1);
  db.exec('DROP TRIGGER full');
  t.match(await ledger.commit(group), [{ new: 2 }, { new: 2, duplicate: 1 }, { new: 1 }]);
  t.strictSame(
    (await ledger.read(0, 100)).map(({ offset, seq }) => [offset, seq]),
    [1, 2, 3, 4, 5, 6, 1].map((seq, i) => [i + 1, seq]),
  );
});

t.test('two processes with one file both stay right (I5)', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const { ledger: one } = await openIn(t, file);
  const { ledger: two } = await openIn(t, file);
  t.match(await one.commit([entry({ seqs: [1, 2] })]), [{ new: 2 }]);
  t.match(await two.commit([entry({ seqs: [2, 3] })]), [{ new: 1, duplicate: 1 }]);
  t.match(await one.commit([entry({ seqs: [3, 4] })]), [{ new: 1, duplicate: 1 }]);
  t.match(await two.commit([entry({ seqs: [1, 4, 5] })]), [{ new: 1, duplicate: 2 }]);
  t.match(await one.completeness(), [{ completeTo: 5, records: 5, duplicates: 4 }]);
});

t.test('streams that fell out of memory are read back (I10)', async (t) => {
  const { ledger } = await openIn(t, join(testDir(t), 'ledger.db'), { streamsCached: 2 });
  const streams = ['a', 'b', 'c', 'd', 'e'];
  for (let round = 1; round <= 3; round += 1) {
    for (const stream of streams) {
      const [result] = await ledger.commit([entry({ stream, seqs: seqs(1, round * 2) })]);
      t.match(result, { new: 2, duplicate: round * 2 - 2 });
    }
  }
  t.match(
    await ledger.completeness(),
    streams.map((stream) => ({ stream, records: 6, duplicates: 6 })),
  );
});

t.test('only the streams used last stay in memory (I10)', async (t) => {
  const db = openLedgerFile(join(testDir(t), 'ledger.db'));
  t.teardown(() => db.close());
  const streams = new StreamTable(db, 2);
  const key = (stream: string) => ({ gateway: 'gw-1', epoch: '1-aa', stream });
  for (const stream of ['a', 'b', 'a', 'c']) {
    streams.change(key(stream), streams.load(key(stream)));
    streams.committed();
  }
  const ids = new Map(['a', 'b', 'c'].map((stream) => [stream, streams.load(key(stream)).id]));
  db.exec('UPDATE stream SET id = id + 100');
  t.equal(streams.load(key('a')).id, ids.get('a'), 'remembered');
  t.equal(streams.load(key('c')).id, ids.get('c'), 'remembered');
  t.equal(streams.load(key('b')).id, (ids.get('b') ?? 0) + 100, 'read again');
});

t.test('a record that was pruned cannot be compared: a duplicate, never a second copy', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const { ledger } = await openIn(t, file);
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  shell(t, file).exec('DELETE FROM record WHERE seq IN (1, 2)');
  t.match(await ledger.commit([entry({ seqs: [1, 2, 3], text: 'other' })]), [
    { new: 0, duplicate: 2, conflict: 1 },
  ]);
  t.match(await ledger.completeness(), [{ completeTo: 3, records: 3 }]);
});

t.test('verify finds lost records, unseen ones and ids held twice (I5)', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const { ledger } = await openIn(t, file);
  await ledger.commit([entry({ seqs: seqs(1, 9) })]);
  const db = shell(t, file);
  db.exec(
    'DROP INDEX record_id; DELETE FROM record WHERE seq IN (3, 4); UPDATE record SET seq = 20 WHERE seq = 9',
  );
  db.exec('UPDATE record SET seq = 6 WHERE seq = 7');
  const problem = (name: string, ...ranges: { first: number; last: number }[]) => ({
    gateway: 'gw-1',
    epoch: '1-aa',
    stream: 'telemetry',
    problem: name,
    ranges,
  });
  t.strictSame(await ledger.verify(), {
    streams: 1,
    records: 7,
    problemCount: 4,
    problems: [
      problem('record-not-seen', { first: 20, last: 20 }),
      problem('seen-without-record', { first: 3, last: 4 }, { first: 7, last: 7 }, { first: 9, last: 9 }),
      problem('held-twice', { first: 6, last: 6 }),
      { ...problem('share-differs'), epoch: '' },
    ],
  });
});

t.test('what was erased is not in the file any more', async (t) => {
  const folder = testDir(t);
  const { ledger } = await openIn(t, join(folder, 'ledger.db'));
  await ledger.commit([entry({ seqs: [1, 2, 4], text: 'very-private-reading' })]);
  const files = () => Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name))));
  t.ok(files().includes('very-private-reading'));
  for (const device of ['device-1', 'device-2'])
    await ledger.maintenance.erase({ device, gateway: null }, 'ann');
  t.notOk(files().includes('very-private-reading'));
});

t.test('dead letters have a bound in rows and bytes; the oldest goes, with a log line (I10)', async (t) => {
  const { ledger, lines } = await openIn(t, join(testDir(t), 'ledger.db'), {
    deadLetters: { rowsMax: 3, bytesMax: 2000 },
  });
  const add = (reason: string, length: number) =>
    ledger.deadLetter({
      source: 's',
      reason,
      detail: 'd'.repeat(9000),
      bytes: Buffer.alloc(length),
      receivedWallMs: 1,
    });
  const reasons = async () => (await ledger.deadLetters(10)).map(({ reason }) => reason);
  for (const reason of ['1', '2', '3']) await add(reason, 30);
  t.strictSame(lines, []);
  await add('4', 30);
  t.strictSame(await reasons(), ['4', '3', '2'], 'by rows');
  t.match(lines[0], /"event":"ledger.evidence_dropped","table":"dead_letter","rows":1/);
  await add('5', 400);
  t.strictSame(await reasons(), ['5', '4'], 'by bytes');
  await add('6', 5000);
  t.strictSame(await reasons(), ['6'], 'the newest stays, whatever its size');
  t.match(await ledger.totals(), { deadLetters: 6 });
  t.ok((await ledger.deadLetters(1))[0]?.detail.length === 500, 'details are cut');
});

t.test('conflicts have a bound; their counters do not forget (I10)', async (t) => {
  const { ledger, lines } = await openIn(t, join(testDir(t), 'ledger.db'), {
    conflicts: { rowsMax: 2, bytesMax: 1000 },
  });
  await ledger.commit([entry({ seqs: seqs(1, 5) })]);
  await ledger.commit([entry({ seqs: seqs(1, 5), text: 'forged' })]);
  t.strictSame(
    (await ledger.conflicts(10)).map(({ seq }) => seq),
    [5, 4],
  );
  t.match(await ledger.completeness(), [{ conflicts: 5 }]);
  const events = lines.map((line) => JSON.parse(line).event);
  t.strictSame(events, ['ledger.evidence_dropped', 'ledger.conflict'], 'one line each, not one per record');
});

t.test('records above the seal and a second seal are logged', async (t) => {
  const { ledger, lines } = await openIn(t, join(testDir(t), 'ledger.db'));
  await ledger.commit([entry({ sealedAt: 2 }), entry({ seqs: [2, 3, 4] }), entry({ sealedAt: 2 })]);
  t.strictSame(
    lines.map((line) => JSON.parse(line)).map(({ event, records }) => ({ event, records })),
    [{ event: 'ledger.above_seal', records: 2 }],
  );
  await ledger.commit([entry({ sealedAt: 1 })]);
  t.match(JSON.parse(lines[1] ?? ''), { event: 'ledger.resealed', sealedAt: 1, gateway: 'gw-1' });
});
