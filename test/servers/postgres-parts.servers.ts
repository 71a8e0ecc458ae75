/** A PostgreSQL ledger that lost a part says so, and neither goes on without it nor makes it anew. */
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { acceptLedger } from '../../router/ledger/open.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { FIRST_MARKS } from '../../router/ledger/postgres/marks.ts';
import { dayOf, MIGRATIONS } from '../../router/ledger/postgres/schema.ts';
import type { LedgerRole } from '../../router/ledger/role.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { folderWith, headgate } from '../cli/run.ts';
import { entry, seqs } from '../router/ledger/envelopes.ts';
import { postgres } from './postgres.ts';
import { remembersLedger } from './remembered-ledger.ts';

const log = createLogger({ level: 'silent', levels: {} });

t.setTimeout(600_000);
const server = await postgres();
t.teardown(() => server.remove());
await server.start();
const other = new pg.Client({ connectionString: server.url });
await other.connect();
t.teardown(() => other.end());

async function opened(t: Test, schema: string, role: LedgerRole = 'router'): Promise<Ledger> {
  const options = { url: server.url, schema, connectionsMax: 4, timeoutMs: 20_000 };
  const ledger = await openPostgresLedger({ ...options, clock, log, role });
  t.teardown(() => ledger.close());
  return ledger;
}

/** The fate of a part while no router runs. */
const CHANGES = ['missing', 'emptied', 'older', 'foreign'] as const;
type Change = (typeof CHANGES)[number];

interface Part {
  changes?: readonly Change[];
  /** The statements, with the schema of the ledger as the search path. Default: {@link statements}. */
  sql?: Partial<Record<Change, string>>;
  /** Changes that are no loss: the content is written anew, or is the same in every ledger. */
  harmless?: readonly Change[];
  /** Whether `ledger accept` lets the router go on without it. */
  acceptable: boolean;
  /** In place of `table <name>`. */
  named?: RegExp;
}

const today = dayOf(clock.wallMs());
const OLDER_SCHEMA = 'DELETE FROM schema_version WHERE version = (SELECT max(version) FROM schema_version)';

const PARTS: Readonly<Record<string, Part>> = {
  head: { acceptable: false },
  // Of every ledger it holds the same; to a tool an older one is an older ledger.
  schema_version: {
    acceptable: false,
    changes: ['missing', 'emptied', 'older'],
    sql: { older: OLDER_SCHEMA },
    named: /table schema_version |: ledger schema \d+, where/,
  },
  stream: { acceptable: false },
  record: { acceptable: false },
  arrival: { acceptable: false },
  [`record_${today}`]: {
    acceptable: false,
    changes: ['missing'],
    sql: { missing: `DROP TABLE record_${today}` },
    named: new RegExp(`the records of ${today}`),
  },
  arrival_id: {
    acceptable: false,
    changes: ['missing', 'older'],
    sql: { missing: 'DROP SEQUENCE arrival_id', older: "SELECT setval('arrival_id', 1)" },
    named: /arrival_id/,
  },
  cursor: { acceptable: true },
  checkpoint: { acceptable: true },
  boot_clock: { acceptable: true },
  conflict: { acceptable: true },
  contact: { acceptable: true },
  dead_letter: { acceptable: true },
  erasure: { acceptable: true },
  repetition: { acceptable: true },
  volume: { acceptable: true },
  // Without a mark: an older router beside a newer one would not note it.
  share: { acceptable: true, changes: ['missing'] },
  ping: { acceptable: true, harmless: ['emptied', 'older', 'foreign'] },
};

/** `backup`: the schema with the copies of the earlier time. */
function statement(part: string, change: Change, backup: string): string {
  const from = change === 'older' ? backup : FOREIGN;
  switch (change) {
    case 'missing':
      return `DROP TABLE ${part} CASCADE`;
    case 'emptied':
      return `TRUNCATE ${part}`;
    case 'older':
    case 'foreign':
      return `TRUNCATE ${part}; INSERT INTO ${part} OVERRIDING SYSTEM VALUE SELECT * FROM ${from}.${part}`;
  }
}

const SAID: Readonly<Record<Change, RegExp>> = {
  missing: /lost a part: .* (is|are) missing/,
  emptied: /was emptied|is empty/,
  older: /is an older copy/,
  foreign: /of another ledger/,
};

/** A ledger of the same size, with a longer history of its own. */
const FOREIGN = 'foreign_ledger';
await t.test('another ledger', async (t) => {
  const ledger = await opened(t, FOREIGN);
  for (let seq = 1; seq <= 5; seq += 1) await ledger.commit([entry({ gateway: 'other', seqs: [seq] })]);
});

for (const [part, { changes = CHANGES, sql, harmless = [], acceptable, named }] of Object.entries(PARTS)) {
  for (const change of changes) {
    const schema = `${part}_${change}`;
    await t.test(schema, async (t) => {
      const first = await opened(t, schema);
      for (let seq = 1; seq <= 3; seq += 1) await first.commit([entry({ seqs: [seq] })]);
      await first.resetFeedPosition('file', 2);
      await first.close();
      await backUp(schema);
      const second = await opened(t, schema);
      for (let seq = 4; seq <= 5; seq += 1) await second.commit([entry({ seqs: [seq] })]);
      await second.resetFeedPosition('file', 4);
      await second.close();
      const running = await opened(t, schema);
      await other.query(
        `SET search_path = ${schema}; ${sql?.[change] ?? statement(part, change, `${schema}_old`)}`,
      );
      if (harmless.includes(change)) return goesOn(t, schema, 4);
      const told = named ?? new RegExp(`table ${part} |${part} is empty`);
      if (part !== 'schema_version') {
        await t.rejects(running.ping(), { name: 'LedgerLost', message: told });
      }
      const before = await content(schema);
      for (const role of ['tool', 'router'] as const) {
        const refusal = await opened(t, schema, role).then(
          () => new Error('opened'),
          (error: Error) => error,
        );
        t.match(refusal, { name: 'StartRefused', exitCode: 78, message: told }, role);
        if (/: ledger schema \d+, where/.test(refusal.message)) continue;
        t.match(refusal.message, SAID[change]);
        const fix = acceptable
          ? /headgate ledger accept --config/
          : /Restore the whole ledger from one backup$/;
        t.match(refusal.message, fix);
      }
      t.strictSame(await content(schema), before, 'a look changes nothing');
      // A volume is counted anew.
      if (!acceptable || (change === 'foreign' && part !== 'volume')) {
        await t.rejects(accepted(t, schema), { exitCode: 78, message: told });
        t.strictSame(await content(schema), before, 'what is refused changes nothing');
        return;
      }
      t.match((await accepted(t, schema)).parts, [new RegExp(`^table ${part}: .`)]);
      const lost = change === 'older' ? 2 : 0;
      await goesOn(t, schema, part === 'cursor' ? lost : 4);
    });
  }
}

async function goesOn(t: Test, schema: string, feedAt: number): Promise<void> {
  const ledger = await opened(t, schema);
  t.match(await ledger.verify(), { records: 5, problemCount: 0 });
  t.match(await ledger.loadFeedPosition('file'), { offset: feedAt });
  t.match(await ledger.commit([entry({ seqs: seqs(1, 6) })]), [{ new: 1, duplicate: 5 }]);
  t.strictSame(
    (await ledger.read(0, 100)).map(({ seq }) => seq),
    seqs(1, 6),
  );
  t.match(await ledger.contacts('', 10), [{ gateway: 'gw-1' }]);
  await ledger.ping();
  const tool = await opened(t, schema, 'tool');
  t.match(await tool.verify(), { records: 6, streams: 1, problemCount: 0 });
}

async function accepted(t: Test, schema: string): ReturnType<typeof acceptLedger> {
  const ledger = { type: 'postgres', url: server.url, schema, connections_max: 4, timeout: 20_000 } as const;
  return acceptLedger({ ledger, data_dir: folderWith(t, {}) }, { clock, log });
}

/** A router.yaml with a `data_dir` of its own. */
function configOf(t: Test, schema: string): string {
  const text = `data_dir: ${folderWith(t, {})}
ledger: { type: postgres, url: '${server.url}', schema: ${schema} }
sources: [{ name: site, type: mqtt, url: 'mqtt://127.0.0.1:1', client_id: router }]\n`;
  return join(folderWith(t, { 'router.yaml': text }), 'router.yaml');
}

/** Copies of all tables into a schema of their own, as a backup has them. */
async function backUp(schema: string): Promise<void> {
  await other.query(`CREATE SCHEMA ${schema}_old`);
  for (const table of await tablesOf(schema)) {
    await other.query(`CREATE TABLE ${schema}_old.${table} AS TABLE ${schema}.${table}`);
  }
}

async function tablesOf(schema: string): Promise<string[]> {
  const { rows } = await other.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE nspname = $1 AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname`,
    [schema],
  );
  return rows.map(({ name }) => name);
}

/** All tables with all rows, as text. */
async function content(schema: string): Promise<Record<string, string | null>> {
  const found: Record<string, string | null> = {};
  for (const table of await tablesOf(schema)) {
    const { rows } = await other.query<{ text: string | null }>(
      `SELECT string_agg(t::text, E'\\n' ORDER BY t::text) AS text FROM ${schema}.${table} t`,
    );
    found[table] = rows[0]?.text ?? null;
  }
  return found;
}

interface Loss {
  /** With the schema of the ledger as the search path. */
  sql: string;
  /** The error of a running router, and of a starting one. */
  said: RegExp;
}

const LOSSES: Readonly<Record<string, Loss>> = {
  cursor_newer: {
    sql: "UPDATE cursor SET last_offset = 4711 WHERE feed = ''",
    said: /ends at offset 5, and had come to 4711: an older copy/,
  },
  checkpoint_foreign_id: {
    sql: "UPDATE checkpoint SET position = 'another' WHERE source = '' AND partition = ''",
    said: /table checkpoint is of another ledger/,
  },
  head_set_back: {
    sql: 'UPDATE head SET last_offset = 2',
    said: /head ends at offset 2, and records at 5/,
  },
};

for (const [schema, { sql, said }] of Object.entries(LOSSES)) {
  await t.test(schema, async (t) => {
    const ledger = await opened(t, schema);
    for (let seq = 1; seq <= 5; seq += 1) await ledger.commit([entry({ seqs: [seq] })]);
    await other.query(`SET search_path = ${schema}; ${sql}`);
    await t.rejects(ledger.ping(), { name: 'LedgerLost', message: said });
    for (const role of ['tool', 'router'] as const)
      await t.rejects(opened(t, schema, role), { exitCode: 78, message: said });
  });
}

await t.test('schema_dropped', async (t) => {
  const ledger = await opened(t, 'schema_dropped');
  await ledger.commit([entry({ seqs: [1] })]);
  await other.query('DROP SCHEMA schema_dropped CASCADE');
  await t.rejects(ledger.ping(), { name: 'LedgerLost', message: /all of its tables are gone/ });
  await t.rejects(opened(t, 'schema_dropped', 'tool'), { name: 'StartRefused' });
  // Nothing tells an empty database from one that never had a ledger; the routers that had it know.
  await opened(t, 'schema_dropped');
  await t.rejects(ledger.ping(), { name: 'LedgerLost', message: /made anew/ });
  await t.rejects(ledger.commit([entry({ seqs: [6] })]), { name: 'LedgerLost' });
});

await t.test('a ledger of the version before the marks gets them, and is whole', async (t) => {
  const schema = 'earlier';
  const ledger = await opened(t, schema);
  await ledger.commit([entry({ seqs: [1, 2] })]);
  await ledger.close();
  await other.query(`SET search_path = ${schema}; ALTER TABLE head DROP COLUMN noted;
    DROP TABLE arrival_mark, record_mark; UPDATE cursor SET holder = NULL WHERE feed = '';
    DELETE FROM checkpoint WHERE partition = 'mark'; DELETE FROM stream WHERE id = 0;
    DELETE FROM boot_clock WHERE gateway = ''; DELETE FROM contact WHERE gateway = '';
    DELETE FROM volume WHERE hour = -1; DELETE FROM conflict; DELETE FROM dead_letter; DELETE FROM erasure;
    DELETE FROM repetition; ALTER TABLE dead_letter DROP COLUMN gateway;
    DROP TABLE share; ALTER TABLE volume DROP COLUMN shared; ALTER TABLE arrival DROP COLUMN bytes;
    DELETE FROM schema_version WHERE version > ${MIGRATIONS.indexOf(FIRST_MARKS)}`);
  await Promise.all([opened(t, schema), opened(t, schema)]);
  const again = await opened(t, schema);
  await again.ping();
  t.match(await again.commit([entry({ seqs: [2, 3] })]), [{ new: 1, duplicate: 1 }]);
});

await t.test('the commands of a person: verify names the part, accept goes on without it', async (t) => {
  const schema = 'person';
  const ledger = await opened(t, schema);
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  await ledger.close();
  const config = configOf(t, schema);
  await other.query(`SET search_path = ${schema}; DROP TABLE dead_letter; TRUNCATE cursor`);
  const run = (...args: string[]) => headgate([...args, '--config', config], { timeoutMs: 60_000 });
  const told = /table dead_letter is missing\. Restore that table .*headgate ledger accept/;
  t.match(await run('ledger', 'verify'), { code: 78, stderr: told });
  t.match(await run('router'), { code: 78, stderr: told });
  t.match(await run('ledger', 'accept'), {
    code: 0,
    stdout: /^table dead_letter: dead letters are gone .*\ntable cursor: feeds go on .*\nthe next start/,
  });
  t.match(await run('ledger', 'verify'), { code: 0, stdout: /clean/ });
  t.match(await run('ledger', 'accept'), { code: 1, stderr: /knows of no ledger/ });
  await other.query(`SET search_path = ${schema}; TRUNCATE stream`);
  t.match(await run('ledger', 'accept'), {
    code: 78,
    stderr: /stream was emptied\. Restore the whole ledger/,
  });
});

await t.test('a whole ledger that is lost, older or another while no router runs', async (t) => {
  const schema = 'remembered';
  await remembersLedger(t, {
    ledger: { type: 'postgres', url: server.url, schema, connections_max: 4, timeout: 20_000 },
    drop: () => other.query(`DROP SCHEMA ${schema} CASCADE`),
    // As a backup of the time would have it.
    setBack: () =>
      other.query(`SET search_path = ${schema}; UPDATE head SET last_offset = 2; DELETE FROM arrival WHERE last_offset > 2;
        UPDATE cursor SET last_offset = 2 WHERE feed = ''`),
  });
});

await t.test('`ledger verify` makes no schema, and a fsync that is off is told as what it is', async (t) => {
  const verify = await headgate(['ledger', 'verify', '--config', configOf(t, 'nowhere')], {
    timeoutMs: 60_000,
  });
  t.match(verify, { code: 1, stderr: /there is no ledger in schema nowhere/ });
  const { rowCount } = await other.query("SELECT FROM pg_namespace WHERE nspname = 'nowhere'");
  t.equal(rowCount, 0);
  await other.query('ALTER SYSTEM SET fsync = off');
  await other.query('SELECT pg_reload_conf()');
  t.teardown(() => other.query('ALTER SYSTEM RESET fsync'));
  const router = await headgate(['router', '--config', configOf(t, 'unsafe')], { timeoutMs: 60_000 });
  t.match(router, {
    code: 78,
    stderr: /^headgate: PostgreSQL runs with fsync off: a commit would not be durable/m,
  });
});
