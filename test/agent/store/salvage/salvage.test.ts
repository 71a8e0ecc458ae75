/**
 * A damaged buffer: the store starts, what can be read is there under its own ids, the rest is a gap (I2, I3,
 * I9).
 */

import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { decodeRecords, decodeState } from '../../../../agent/store/decode.ts';
import { BufferDatabase } from '../../../../agent/store/thread/database.ts';
import { type Entropy, seededEntropy } from '../../../../shared/entropy.ts';
import { IntervalSet } from '../../../../shared/interval-set.ts';
import { testSeed } from '../../../seed.ts';
import { testDir } from '../../../test-dir.ts';
import { appendAll, bufferFile, columnsOf, noise, record, storeOn, texts } from '../fixture.ts';

const CORRUPTIONS = Number(process.env['HEADGATE_CORRUPTIONS'] ?? 30);
const CLOCK = { bootId: 'boot-1', offsetMs: 0, quality: 'unsynchronised' } as const;
const PAGE = 4096;
const seed = testSeed();

/** Payloads by record id, and what was pending of each stream when the file was left. */
interface Written {
  payloads: Map<string, string>;
  pending: Map<string, IntervalSet>;
}

/** Two epochs, two streams each, partly delivered, a gap, sessions; the last commits are still in the log. */
async function fill(folder: string): Promise<{ file: string; written: Written }> {
  const source = bufferFile(folder);
  const written: Written = { payloads: new Map(), pending: new Map() };
  for (const life of [1, 2]) {
    const { store } = storeOn(source);
    await store.start();
    const { epoch } = store;
    for (let commit = 0; commit < 30; commit++) {
      for (const stream of ['telemetry', 'alarm']) {
        const payloads = texts(8, commit * 8 + 1).map((text) => `${life} ${stream} ${text} ${noise(150)}`);
        const seqs = await appendAll(store, payloads, stream);
        for (const [i, seq] of seqs.entries())
          written.payloads.set(`${epoch}/${stream}/${seq}`, payloads[i] ?? '');
      }
    }
    const delivered = { epoch, stream: 'telemetry', provider: 'aws', copies: 1 };
    await Promise.all([
      store.accept({ ...delivered, first: 11, last: 60 }),
      store.accept({ ...delivered, stream: 'alarm', first: 1, last: 100, copies: 2 }),
      store.giveUp(epoch, 'alarm', 201, 210, 'quota'),
      store.writeSessions([
        { kind: 'subscription', client: `c${life}`, key: 'plant/#', value: Buffer.from('a1', 'hex') },
        { kind: 'retained', client: '', key: 'plant/x', value: Buffer.from('a1', 'hex') },
        { kind: 'will', client: 'c1', key: '', value: Buffer.from('a1', 'hex') },
        { kind: 'outgoing', client: 'c1', key: String(life), value: Buffer.from('a1', 'hex') },
      ]),
      store.append(record('the notes go with it', 'telemetry')),
    ]);
    written.payloads.set(`${epoch}/telemetry/241`, 'the notes go with it');
    written.pending.set(
      `${epoch}/telemetry`,
      IntervalSet.of([
        { first: 1, last: 10 },
        { first: 61, last: 241 },
      ]),
    );
    written.pending.set(
      `${epoch}/alarm`,
      IntervalSet.of([
        { first: 1, last: 200 },
        { first: 211, last: 240 },
      ]),
    );
    if (life === 1) await store.stop();
    else {
      for (const part of ['', '-wal']) copyFileSync(source + part, join(folder, `left.db${part}`));
      await store.stop();
    }
  }
  return { file: join(folder, 'left.db'), written };
}

const KINDS = ['flip', 'zero', 'truncate', 'noise', 'torn', 'header'] as const;

/** Damages the file; returns a description of the damage. */
function takeDamage(file: string, entropy: Entropy): string {
  const integer = (below: number): number => Math.floor(entropy.float() * below);
  const part = entropy.float() < 0.7 ? '' : '-wal';
  const bytes = readFileSync(file + part);
  const page = integer(bytes.length / PAGE) * PAGE;
  const kind = KINDS[integer(KINDS.length)] ?? 'flip';
  let left = bytes;
  if (kind === 'flip') for (let i = 0; i < 40; i++) bytes[integer(bytes.length)] = integer(256);
  else if (kind === 'zero') bytes.fill(0, page, page + PAGE);
  else if (kind === 'truncate') left = bytes.subarray(0, page + integer(PAGE));
  else if (kind === 'noise') bytes.set(entropy.bytes(PAGE).subarray(0, bytes.length - page), page);
  else if (kind === 'torn')
    bytes.copy(bytes, page, integer(bytes.length / PAGE) * PAGE, page + 512 * integer(8));
  else bytes.set(entropy.bytes(100));
  writeFileSync(file + part, left);
  return `${kind} of ${part || 'file'} at page ${page / PAGE}`;
}

function* rowsOf(database: BufferDatabase, epoch: string, stream: string) {
  for (let first = 1; ; ) {
    const range = { epoch, stream, first, last: Number.MAX_SAFE_INTEGER, maxBytes: 2 ** 20 };
    const rows = decodeRecords(database.read(range));
    yield* rows;
    const last = rows.at(-1);
    if (!last) return;
    first = last.seq + 1;
  }
}

/** Every row is what was written under its id. Returns the ids' seqs. */
function checkRows(
  t: Test,
  database: BufferDatabase,
  written: Written,
  key: string,
  what: string,
): IntervalSet {
  const [epoch = '', stream = ''] = key.split('/');
  const found = IntervalSet.empty();
  for (const { seq, payload } of rowsOf(database, epoch, stream)) {
    if (written.payloads.get(`${key}/${seq}`) !== Buffer.from(payload).toString())
      t.fail(`${what}: other content at ${key}/${seq}`);
    found.add(seq);
  }
  return found;
}

/** And every pending id that is not there lies in a gap, where its stream is known. */
function check(t: Test, database: BufferDatabase, written: Written, what: string): void {
  for (const { epoch, stream, pending: there, gaps } of database.opened().streams.map(decodeState)) {
    if (epoch === database.epoch) t.fail(`${what}: rows in the new epoch`);
    const found = checkRows(t, database, written, `${epoch}/${stream}`, what);
    if (!found.equals(there)) t.fail(`${what}: ${epoch}/${stream} says it has what it has not`);
    const known = written.pending.get(`${epoch}/${stream}`) ?? IntervalSet.empty();
    const lost = known.difference(there.union(IntervalSet.of(gaps)));
    if (lost.size > 0) t.fail(`${what}: ${epoch}/${stream} lost ${JSON.stringify([...lost.ranges()])}`);
  }
}

t.test(`${CORRUPTIONS} damaged files, seed ${seed}`, async (t) => {
  const folder = testDir(t);
  const { file, written } = await fill(folder);
  const work = join(folder, 'work.db');
  const epochs = new Set([...written.pending.keys()].map((key) => key.split('/')[0]));
  let damaged = 0;
  let salvaged = 0;
  for (let i = 0; i < CORRUPTIONS; i++) {
    for (const name of readdirSync(folder)) if (name.startsWith('work.db')) rmSync(join(folder, name));
    for (const part of ['', '-wal']) copyFileSync(file + part, work + part);
    const entropy = seededEntropy(seed + i);
    const what = `HEADGATE_SEED=${seed + i}: ${takeDamage(work, entropy)}`;
    const database = new BufferDatabase(work, Buffer.from(entropy.bytes(4)).toString('hex'), CLOCK);
    if (epochs.has(database.epoch)) t.fail(`${what}: an epoch came twice`);
    const { damage } = database.opened();
    if (damage) {
      damaged += 1;
      if (damage.records > 0) salvaged += 1;
      if (!existsSync(damage.movedTo)) t.fail(`${what}: the damaged file is gone`);
      check(t, database, written, what);
    } else
      for (const { epoch, stream } of database.opened().streams) {
        checkRows(t, database, written, `${epoch}/${stream}`, what);
      }
    const { appended } = database.commit(columnsOf([record('new')]), []);
    if (appended[0]?.first !== 1) t.fail(`${what}: not a new stream`);
    database.close();
  }
  t.pass('none was lost without a word');
  // Of few files any part may be noticed, or none.
  if (CORRUPTIONS < 300) return;
  t.ok(damaged > CORRUPTIONS / 8, `${damaged} were noticed`);
  t.ok(salvaged > damaged / 3, `of ${salvaged} records were salvaged`);
});

/** Some that hold chunks and are not in the log: of the first life. */
function losePages(file: string, from: number, count: number): void {
  const db = new Database(file, { readonly: true });
  const leaves = db
    .prepare<[number, number], { pageno: number }>(
      "SELECT pageno FROM dbstat WHERE name = 'chunk' AND pagetype = 'leaf' ORDER BY path LIMIT ? OFFSET ?",
    )
    .all(count, from);
  db.close();
  if (leaves.length < count) throw new Error('there are too few chunks');
  const bytes = readFileSync(file);
  for (const { pageno } of leaves) bytes.fill(0xa5, (pageno - 1) * PAGE, pageno * PAGE);
  writeFileSync(file, bytes);
}

t.test('one lost page costs its records, and nothing else', async (t) => {
  const { file, written } = await fill(testDir(t));
  losePages(file, 3, 1);
  const { store, lines } = storeOn(file);
  await store.start();
  t.equal(store.damage.files, 1);
  const [said] = lines.filter(({ event }) => event === 'store.damaged');
  const lost = Number(said?.['lostRecords']);
  t.equal(store.damage.lostRecords, lost);
  const total = [...written.pending.values()].reduce((sum, set) => sum + set.size, 0);
  t.equal(Number(said?.['records']) + lost, total);
  t.ok(lost > 0 && lost < 120, `${lost} of ${total} lost`);
  t.same(
    store.takeSessions().map(({ kind }) => kind),
    ['retained', 'subscription', 'subscription', 'will', 'outgoing', 'outgoing'],
    'sessions are kept',
  );
  const states = store.initialState();
  t.ok(
    states.some(({ accepted }) => accepted.get('aws')?.size),
    'and what was accepted once of two',
  );
  t.match(
    states.filter(({ stream }) => stream === 'alarm').map(({ gaps }) => gaps.at(-1)),
    [1, 2].map(() => ({ first: 201, last: 210, reason: 'quota' })),
    'gaps keep their reason',
  );
  await store.stop();
  const database = new BufferDatabase(file, 'later', CLOCK);
  check(t, database, written, 'one page');
  database.close();
});

t.test('many lost pages in the middle of a long stream cost what was on them', async (t) => {
  const file = bufferFile(testDir(t));
  const first = new BufferDatabase(file, 'first', CLOCK);
  const columns = columnsOf(Array.from({ length: 1000 }, (_, i) => record(`${i} ${noise(12)}`)));
  for (let i = 0; i < 150; i++) first.commit(columns, []);
  first.close();
  losePages(file, 4, 6);
  const second = new BufferDatabase(file, 'second', CLOCK);
  const [state] = second.opened().streams.map(decodeState);
  const lost = IntervalSet.of(state?.gaps ?? []);
  t.equal(lost.size + (state?.pending.size ?? 0), 150_000);
  const [range, ...others] = lost.ranges();
  t.strictSame(others, [], 'one gap');
  t.ok(range && range.first > 1000 && range.last < 120_000, JSON.stringify(range));
  second.close();
});

/**
 * Values that SQLite reads from a page that it can still walk, and that a table of another kind would not
 * have taken.
 */
const STRANGE: readonly string[] = [
  "UPDATE stream SET last_seq = 'many', freed = 7, end_announced = x'00' WHERE id = 1",
  'UPDATE stream SET last_seq = 9223372036854775807, bytes = 1.5',
  "UPDATE stream SET epoch = '99999999999999999999-a' WHERE id = 1",
  "UPDATE stream SET epoch = (SELECT name || 'b' FROM epoch WHERE number = 1), name = 'x' WHERE id = 1",
  "UPDATE epoch SET boot_id = 5, offset_ms = 'late', quality = x'ff'",
  "UPDATE epoch SET name = x'ff'",
  "UPDATE chunk SET mono_ms = 'then', bytes = 'few'",
  "UPDATE chunk SET last = 'x' || first WHERE first > 20",
  "UPDATE gap SET reason = 'whim'",
  'UPDATE gap SET last = 2.5, reason = 7',
  "UPDATE accepted SET ranges = 'all', provider = 9",
  'UPDATE session_item SET value = 12, client = cast(client AS BLOB)',
  "UPDATE session_queue SET value = 12, client = x'ff'",
];

t.test('values of another kind count as not readable, and end no start', async (t) => {
  const folder = testDir(t);
  const { file, written } = await fill(folder);
  const strict = "UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE sql LIKE '%STRICT%'";
  for (const [i, change] of STRANGE.entries()) {
    const work = join(folder, `${i}.db`);
    for (const part of ['', '-wal']) copyFileSync(file + part, work + part);
    const db = new Database(work);
    db.unsafeMode();
    db.pragma('writable_schema = ON');
    const tables = db
      .prepare<[], { name: string; sql: string }>(
        "SELECT name, sql FROM sqlite_schema WHERE sql LIKE '%STRICT%'",
      )
      .all();
    db.exec(strict);
    db.pragma('writable_schema = RESET');
    t.ok(db.prepare(change).run().changes > 0, change);
    db.exec("UPDATE stream SET bytes = 'some'");
    db.pragma('writable_schema = ON');
    for (const { name, sql } of tables)
      db.prepare('UPDATE sqlite_schema SET sql = ? WHERE name = ?').run(sql, name);
    db.close();
    const database = new BufferDatabase(work, 'later', CLOCK);
    t.ok(database.opened().damage, 'noticed');
    if (!change.includes('epoch =')) check(t, database, written, change);
    const names = new Set([database.epoch, ...database.opened().olderEpochs.map(({ epoch }) => epoch)]);
    t.ok(
      database.opened().streams.every(({ epoch }) => names.has(epoch)),
      'each stream has its epoch',
    );
    t.doesNotThrow(() => database.commit(columnsOf([record('new')]), []));
    database.close();
  }
});

/** Damages that make the tables themselves unfit, which no check of pages finds. */
const UNFIT: readonly string[] = [
  'PRAGMA user_version = 0',
  'PRAGMA user_version = 1',
  'DROP TABLE accepted',
  'ALTER TABLE stream RENAME COLUMN freed TO fried',
  "UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'epoch'",
  "UPDATE sqlite_sequence SET seq = 'x' WHERE name = 'epoch'",
  'UPDATE stream SET last_seq = 9223372036854775807',
];

t.test('tables that are not as this program makes them are damage', async (t) => {
  const folder = testDir(t);
  const { file } = await fill(folder);
  for (const [i, change] of UNFIT.entries()) {
    const work = join(folder, `${i}.db`);
    for (const part of ['', '-wal']) copyFileSync(file + part, work + part);
    const db = new Database(work);
    db.exec(change);
    db.close();
    const database = new BufferDatabase(work, 'later', CLOCK);
    t.ok(Number(database.opened().damage?.records) > 0, change);
    database.commit(columnsOf([record('new')]), []);
    database.close();
  }
});

t.test('killed at any step of the replacement: the next start does the rest', async (t) => {
  const { file, written } = await fill(testDir(t));
  losePages(file, 3, 1);
  const main = readFileSync(file);
  const log = readFileSync(`${file}-wal`);
  const note = { 'left.db.setting-aside': '' };
  const older = { 'left.db.damaged-1': 'older' };
  const moved = { 'left.db.damaged-2': main, 'left.db.damaged-2-wal': log };
  const steps: Array<Record<string, Buffer | string>> = [
    { ...note, ...older, 'left.db': main, 'left.db-wal': log },
    { ...note, ...older, 'left.db': main, 'left.db.damaged-2-wal': log },
    { ...note, ...older, ...moved },
    {
      ...note,
      ...older,
      ...moved,
      'left.db.salvage': 'half',
      'left.db.salvage-wal': 'done',
      'left.db.damaged-2-shm': '',
    },
  ];
  for (const [step, files] of steps.entries()) {
    const place = testDir(t, files);
    const database = new BufferDatabase(join(place, 'left.db'), 'later', CLOCK);
    const { damage } = database.opened();
    check(t, database, written, `step ${step}`);
    t.ok(Number(damage?.records) > 500, `step ${step}: ${damage?.records} records`);
    database.close();
    t.same(readdirSync(place).sort(), [
      'left.db',
      'left.db.damaged-1',
      'left.db.damaged-2',
      'left.db.damaged-2-wal',
    ]);
    if (step > 0)
      t.same(readFileSync(join(place, 'left.db.damaged-2')), main, 'the damaged file is as it was');
  }
});

t.test('killed when only the note is left to be removed: nothing is done twice', async (t) => {
  const file = bufferFile(testDir(t));
  const first = new BufferDatabase(file, 'first', CLOCK);
  first.commit(columnsOf([record('a')]), []);
  first.close();
  writeFileSync(`${file}.setting-aside`, 'why');
  writeFileSync(`${file}.damaged-1`, 'nothing to be read');
  const second = new BufferDatabase(file, 'second', CLOCK);
  t.equal(second.opened().damage, null);
  t.equal(second.opened().rows, 1);
  second.close();
  t.notOk(existsSync(`${file}.setting-aside`));
});

t.test('three damaged files are kept, the newest by number, and what is removed is said', async (t) => {
  const folder = testDir(t);
  const file = bufferFile(folder);
  const removed: string[] = [];
  for (let i = 1; i <= 12; i++) {
    for (const part of ['', '-wal']) rmSync(file + part, { force: true });
    writeFileSync(file, `not a database ${i} `.repeat(500));
    const database = new BufferDatabase(file, 'suffix', CLOCK);
    removed.push(...(database.opened().damage?.removed ?? []));
    database.close();
  }
  const kept = readdirSync(folder).filter((name) => name.includes('.damaged-'));
  t.same(
    kept.sort(),
    [10, 11, 12].map((n) => `buffer.db.damaged-${n}`),
  );
  t.equal(removed.length, 9);
  t.equal(removed.at(0), `${file}.damaged-1`);
});
