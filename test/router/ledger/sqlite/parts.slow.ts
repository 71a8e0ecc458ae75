/** A SQLite ledger whose tables, or files, do not belong together says so, and is neither mended nor used. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import type { Ledger } from '../../../../router/ledger/ledger.ts';
import type { LedgerRole } from '../../../../router/ledger/role.ts';
import { acceptTables } from '../../../../router/ledger/sqlite/accept.ts';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import { FIRST_MARKS } from '../../../../router/ledger/sqlite/marks.ts';
import { forgetSqliteLedger } from '../../../../router/ledger/sqlite/router-lock.ts';
import { openLedgerFile } from '../../../../router/ledger/sqlite/schema.ts';
import { SCHEMA, STEPS } from '../../../../router/ledger/sqlite/tables.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { createLogger } from '../../../../shared/log.ts';
import { headgate } from '../../../cli/run.ts';
import { startAws } from '../../../loopback/start-aws.ts';
import { routerProcess } from '../../../servers/router-process.ts';
import { testDir } from '../../../test-dir.ts';
import { entry, seqs } from '../envelopes.ts';

t.setTimeout(600_000);
const log = createLogger({ level: 'silent', levels: {} });

async function opened(t: Test, file: string, role: LedgerRole = 'router'): Promise<Ledger> {
  const ledger = await openSqliteLedger({ file, clock: systemClock, log, role });
  t.teardown(() => ledger.close());
  return ledger;
}

/** A router's run on the ledger. */
async function run(
  t: Test,
  file: string,
  records: number[],
  feedAt: number,
  gateway = 'gw-1',
): Promise<void> {
  const ledger = await opened(t, file);
  for (const seq of records) await ledger.commit([entry({ gateway, seqs: [seq] })]);
  await ledger.resetFeedPosition('file', feedAt);
  await ledger.close();
}

/** The ledger as it was, as it is, and another one of the same size. */
const base = testDir(t);
const [older, newer, foreign] = ['older.db', 'newer.db', 'foreign.db'].map((name) => join(base, name)) as [
  string,
  string,
  string,
];
await run(t, older, [1, 2, 3], 2);
copyLedger(older, newer);
await run(t, newer, [4, 5], 4);
await run(t, foreign, [1, 2, 3], 2, 'other');
await run(t, foreign, [4, 5], 4, 'other');

function copyLedger(from: string, to: string): void {
  for (const end of ['', '.lock']) copyFileSync(`${from}${end}`, `${to}${end}`);
}

/** Changes that only a person with the sqlite3 shell would make. */
function shell(file: string, sql: string): void {
  const db = new Database(file);
  try {
    db.exec(`ATTACH '${older}' AS older; ATTACH '${foreign}' AS another; ${sql}`);
  } finally {
    db.close();
  }
}

/** Every table with all of its rows. */
function content(file: string): Record<string, unknown[]> {
  const db = new Database(file, { readonly: true });
  try {
    const names = db.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
    return Object.fromEntries(names.map((name) => [name, db.prepare(`SELECT * FROM ${name}`).all()]));
  } finally {
    db.close();
  }
}

const CHANGES = {
  missing: { sql: (table: string) => `DROP TABLE ${table}`, said: /lost a part: table (\w+) is missing/ },
  emptied: { sql: (table: string) => `DELETE FROM ${table}`, said: /table (\w+) was emptied/ },
  older: {
    sql: (table: string) => `DELETE FROM ${table}; INSERT INTO ${table} SELECT * FROM older.${table}`,
    said: /table (\w+) is an older copy: it ends at note \d, and the others at \d/,
  },
  foreign: {
    sql: (table: string) => `DELETE FROM ${table}; INSERT INTO ${table} SELECT * FROM another.${table}`,
    said: /table (\w+) is of another ledger/,
  },
} as const;

/** Whether `ledger accept` lets the router go on without the part. */
const TABLES: Readonly<Record<string, boolean>> = {
  identity: false,
  head: false,
  stream: false,
  arrival: false,
  record: false,
  cursor: true,
  cursor_progress: true,
  checkpoint: true,
  boot_clock: true,
  conflict: true,
  contact: true,
  dead_letter: true,
  erasure: true,
  repetition: true,
  volume: true,
  share: true,
  kept: true,
};

t.test('every table of the ledger is in this table', async (t) => {
  t.strictSame(new Set(Object.keys(content(newer))), new Set([...Object.keys(TABLES), 'ping']));
});

for (const [table, acceptable] of Object.entries(TABLES)) {
  for (const [change, { sql, said }] of Object.entries(CHANGES)) {
    t.test(`${table}, ${change}`, async (t) => {
      const file = join(testDir(t), 'ledger.db');
      copyLedger(newer, file);
      shell(file, sql(table));
      const before = content(file);
      for (const role of ['tool', 'router'] as const) {
        const refusal = await opened(t, file, role).then(
          () => new Error('opened'),
          (error: Error) => error,
        );
        t.match(refusal, { name: 'StartRefused', exitCode: 78, message: said }, role);
        t.equal(said.exec(refusal.message)?.[1], table, refusal.message);
        const isAcceptable = acceptable && change !== 'foreign';
        t.equal(/headgate ledger accept --config/.test(refusal.message), isAcceptable);
      }
      t.strictSame(content(file), before, 'a look changes nothing');
      const accept = () => forgetSqliteLedger(file, () => acceptTables(file));
      if (!acceptable || change === 'foreign') {
        t.throws(accept, { exitCode: 78, message: said });
        t.strictSame(content(file), before, 'what is refused changes nothing');
        return;
      }
      t.match(accept(), { wasKnown: true, parts: [new RegExp(`^table ${table}: .`)] });
      const feedAt = table !== 'cursor' ? 4 : change === 'older' ? 2 : 0;
      await goesOn(t, file, feedAt);
    });
  }
}

async function goesOn(t: Test, file: string, feedAt: number): Promise<void> {
  const ledger = await opened(t, file);
  t.match(await ledger.loadFeedPosition('file'), { offset: feedAt });
  t.match(await ledger.commit([entry({ seqs: seqs(1, 6) })]), [{ new: 1, duplicate: 5 }]);
  t.match(await ledger.verify(), { records: 6, streams: 1, problemCount: 0 });
  t.strictSame(
    (await ledger.read(0, 100)).map(({ seq }) => seq),
    seqs(1, 6),
  );
  await ledger.deadLetter({
    source: 's',
    reason: 'cbor',
    detail: '',
    bytes: Buffer.of(1),
    receivedWallMs: 7,
  });
  t.match(await ledger.maintenance.deadLetterHeads({}, 10), [{ reason: 'cbor' }]);
  t.equal((await ledger.maintenance.deadLetterHeads({}, 10)).length, 1);
  t.match(await ledger.contacts('', 10), [{ gateway: 'gw-1' }]);
  t.strictSame(await ledger.conflicts(10), []);
  t.strictSame(await ledger.maintenance.erasures(10), []);
  await ledger.ping();
}

for (const table of ['stream', 'record', 'cursor', 'dead_letter']) {
  t.test(`${table} is taken away under a running router`, async (t) => {
    const file = join(testDir(t), 'ledger.db');
    copyLedger(newer, file);
    const ledger = await opened(t, file);
    shell(file, CHANGES.older.sql(table));
    const lost = { name: 'LedgerLost', message: new RegExp(`table ${table} is an older copy`) };
    await t.rejects(ledger.commit([entry({ seqs: [6] })]), lost, 'nothing is taken twice');
    await t.rejects(ledger.read(0, 100), lost, 'no feed goes on');
    await t.rejects(ledger.claimFeedPosition('file', 'me', 1000), lost);
    await t.rejects(ledger.ping(), lost);
    await ledger.close();
    // Its last note made nothing of it.
    await t.rejects(opened(t, file), { exitCode: 78, message: new RegExp(table) });
  });
}

/** The fate of the files, and the refusal of the next start; null where the router starts. */
const FILES: Readonly<Record<string, { does: (file: string) => void; said: RegExp | null }>> = {
  'ledger.db is missing': { does: (file) => rmSync(file), said: /that was here: it is missing/ },
  'ledger.db is older': {
    does: (file) => copyFileSync(older, file),
    said: /ends at offset 3, .* an older copy/,
  },
  'ledger.db is of another ledger': {
    does: (file) => copyFileSync(foreign, file),
    said: /that was here: it is another ledger/,
  },
  'ledger.db.lock is missing': { does: (file) => rmSync(`${file}.lock`), said: null },
  'ledger.db.lock is older': {
    does: (file) => copyFileSync(`${older}.lock`, `${file}.lock`),
    said: null,
  },
  'ledger.db.lock is of another ledger': {
    does: (file) => copyFileSync(`${foreign}.lock`, `${file}.lock`),
    said: /that was here: it is another ledger/,
  },
  'ledger.db.lock is damaged': {
    does: (file) => writeFileSync(`${file}.lock`, 'not a database, and longer than its header'.repeat(20)),
    said: /ledger\.db\.lock is damaged: .*remove it/,
  },
};

for (const [what, { does, said }] of Object.entries(FILES)) {
  t.test(what, async (t) => {
    const folder = testDir(t);
    const file = join(folder, 'ledger.db');
    copyLedger(newer, file);
    does(file);
    const there = readdirSync(folder).sort();
    if (said === null) return goesOn(t, file, 4);
    for (const role of ['tool', 'router'] as const)
      await t.rejects(opened(t, file, role), { exitCode: 78, message: said }, role);
    t.strictSame(readdirSync(folder).sort(), there, 'nothing was made');
  });
}

t.test('a backup of a time with as many records is older too', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  copyLedger(newer, file);
  await run(t, file, [], 5);
  copyFileSync(newer, file);
  await t.rejects(opened(t, file), { exitCode: 78, message: /ends at note \d+, .* an older copy/ });
  t.match(
    forgetSqliteLedger(file, () => acceptTables(file)),
    { wasKnown: true, parts: [] },
  );
  await goesOn(t, file, 4);
});

/** The files as a kill leaves them: the last commits are in the log alone. */
async function killed(t: Test, from: string, folder: string): Promise<string> {
  mkdirSync(folder);
  const [alive, file] = [join(folder, 'alive.db'), join(folder, 'ledger.db')];
  copyLedger(from, alive);
  const ledger = await opened(t, alive);
  await ledger.commit([entry({ seqs: [6] })]);
  for (const end of ['', '-wal', '.lock']) copyFileSync(`${alive}${end}`, `${file}${end}`);
  await ledger.close();
  return file;
}

t.test('after a kill: the log is missing, or of another ledger', async (t) => {
  const folder = testDir(t);
  const whole = await opened(t, await killed(t, newer, join(folder, 'whole')));
  t.match(await whole.totals(), { records: 6 });
  const missing = await killed(t, newer, join(folder, 'missing'));
  rmSync(`${missing}-wal`);
  const lost = { exitCode: 78, message: /an older copy\. Put that one back, with its .*-wal/ };
  await t.rejects(opened(t, missing, 'tool'), lost);
  await t.rejects(opened(t, missing), lost);
  const mixed = await killed(t, newer, join(folder, 'mixed'));
  const another = await killed(t, foreign, join(folder, 'another'));
  copyFileSync(`${another}-wal`, `${mixed}-wal`);
  await t.rejects(opened(t, mixed), { message: /another ledger|malformed/ });
});

t.test('the lock goes away under a running router', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const ledger = await opened(t, file);
  await ledger.commit([entry({ seqs: [1] })]);
  rmSync(`${file}.lock`);
  const lost = { name: 'LedgerLost', message: /ledger\.db\.lock was deleted while it is open/ };
  await t.rejects(ledger.ping(), lost);
  await t.rejects(ledger.commit([entry({ seqs: [2] })]), lost);
});

t.test('a file of the version before the marks gets them; one that lost a table is refused', async (t) => {
  const folder = testDir(t);
  const whole = join(folder, 'whole.db');
  const before = new Database(whole);
  const marks = STEPS.indexOf(FIRST_MARKS);
  for (const step of [SCHEMA, ...STEPS.slice(0, marks)]) before.exec(step);
  before.pragma(`user_version = ${1 + marks}`);
  before.close();
  copyFileSync(whole, join(folder, 'lost.db'));
  const ledger = await opened(t, whole);
  t.match(await ledger.commit([entry({ seqs: [1] })]), [{ new: 1 }]);
  shell(join(folder, 'lost.db'), 'DROP TABLE volume');
  t.throws(() => openLedgerFile(join(folder, 'lost.db')), {
    exitCode: 78,
    message: /lost a part: no such table: volume/,
  });
});

t.test('with no ledger and none known a tool makes nothing', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  await t.rejects(opened(t, file, 'tool'), { exitCode: 1, message: /there is no ledger in/ });
  t.notOk(existsSync(file) || existsSync(`${file}.lock`));
});

t.test('the commands of a person, with the real binary', async (t) => {
  const folder = testDir(t);
  const aws = await startAws(t);
  const router = await routerProcess(folder, { sources: [aws.cloud.routerConfig()] });
  t.teardown(() => router.kill());
  await router.start();
  const config = join(folder, 'router.yaml');
  const file = join(folder, 'data', 'ledger.db');
  const run = (...args: string[]) => headgate([...args, '--config', config], { timeoutMs: 120_000 });
  t.match(await run('ledger', 'accept'), { code: 1, stderr: /a router runs with/ });
  t.equal(await router.stop(), 0);
  const kept = join(folder, 'kept.db');
  copyFileSync(file, kept);
  await router.start();
  t.equal(await router.stop(), 0);

  copyFileSync(kept, file);
  const told = /is not the ledger that was here: it ends at note \d+, .* an older copy.*ledger accept/;
  t.match(await run('router'), { code: 78, stderr: told });
  t.match(await run('ledger', 'verify'), { code: 78, stderr: told });
  t.match(await run('feeds', 'ls'), { code: 78, stderr: told });
  const { code, stdout } = await run('ledger', 'accept');
  t.match({ code, stdout }, { code: 0, stdout: /^the next start of the router takes the ledger as it is/ });
  t.match(await run('ledger', 'accept'), { code: 1, stderr: /knows of no ledger/ });
  await router.start();
  t.equal(await router.stop(), 0);

  rmSync(file);
  const missing = /is not the ledger that was here: it is missing/;
  t.match(await run('router'), { code: 78, stderr: missing });
  t.match(await run('ledger', 'verify'), { code: 78, stderr: missing });
  t.notOk(existsSync(file));
  t.match(await run('ledger', 'accept'), { code: 0 });
  t.match(await run('ledger', 'verify'), { code: 1, stderr: /there is no ledger in/ });
  t.notOk(existsSync(file), 'neither makes one');
  await router.start();
  t.equal(await router.stop(), 0);

  const db = new Database(file);
  db.exec('DELETE FROM cursor; DROP TABLE dead_letter');
  db.close();
  const lost = /lost a part: table dead_letter is missing\. Restore .*headgate ledger accept/;
  t.match(await run('router'), { code: 78, stderr: lost });
  t.match(await run('ledger', 'verify'), { code: 78, stderr: lost });
  t.match(await run('ledger', 'accept'), {
    code: 0,
    stdout: /^table dead_letter: .*\ntable cursor: feeds go on .*\nthe next start/,
  });
  t.match(await run('ledger', 'verify'), { code: 0, stdout: /clean/ });
  await router.start();
  t.equal(await router.stop(), 0);
});
