/** A PostgreSQL ledger that lost a part says so, and neither goes on without it nor makes it anew. */
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import type { LedgerRole } from '../../router/ledger/role.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { folderWith, headgate } from '../cli/run.ts';
import { entry } from '../router/ledger/envelopes.ts';
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

interface Loss {
  /** With the schema of the ledger as the search path. */
  sql: string;
  /** What `ping` of a running router says. */
  running: RegExp;
  /** The refusal of a starting router; null where no part remains by which it could notice the loss. */
  starting: RegExp | null;
  /** Whether a running router still commits: it does where no commit needs the part. */
  commits?: boolean;
}

const LOSSES: Readonly<Record<string, Loss>> = {
  schema_dropped: {
    sql: 'DROP SCHEMA schema_dropped CASCADE',
    running: /all of its tables are gone/,
    starting: null,
  },
  cursor_dropped: {
    sql: 'DROP TABLE cursor',
    running: /lost a part: table cursor is missing/,
    starting: /lost a part: table cursor is missing/,
    commits: true,
  },
  cursor_emptied: {
    sql: 'TRUNCATE cursor',
    running: /table cursor was emptied/,
    starting: /table cursor was emptied/,
    commits: true,
  },
  cursor_newer: {
    sql: "UPDATE cursor SET last_offset = 4711 WHERE feed = ''",
    running: /ends at offset 5, and had come to 4711: an older copy/,
    starting: /an older copy/,
    commits: true,
  },
  checkpoint_foreign: {
    sql: "UPDATE checkpoint SET position = 'another' WHERE source = ''",
    running: /table checkpoint is of another ledger/,
    starting: /table checkpoint is of another ledger/,
    commits: true,
  },
  head_emptied: { sql: 'TRUNCATE head', running: /head is empty/, starting: /head is empty/ },
  head_older: {
    sql: 'UPDATE head SET last_offset = 2',
    running: /head ends at offset 2, and records at 5/,
    starting: /head ends at offset 2, and records at 5/,
    commits: true,
  },
  records_dropped: {
    sql: 'DROP TABLE record CASCADE',
    running: /table record is missing/,
    starting: /table record is missing/,
  },
};

for (const [schema, { sql, running, starting, commits = false }] of Object.entries(LOSSES)) {
  await t.test(schema, async (t) => {
    const ledger = await opened(t, schema);
    for (let seq = 1; seq <= 5; seq += 1) await ledger.commit([entry({ seqs: [seq] })]);
    await ledger.resetFeedPosition('file', 3);
    await ledger.ping();
    await other.query(`SET search_path = ${schema}; ${sql}`);
    await t.rejects(ledger.ping(), { name: 'LedgerLost', message: running });
    if (!commits) await t.rejects(ledger.commit([entry({ seqs: [6] })]));
    await t.rejects(opened(t, schema, 'tool'), { name: 'StartRefused' });
    if (starting !== null) {
      await t.rejects(opened(t, schema), { exitCode: 78, message: starting });
      return;
    }
    // Nothing tells an empty database from one that never had a ledger; the routers that had it know.
    await opened(t, schema);
    await t.rejects(ledger.ping(), { name: 'LedgerLost', message: /made anew/ });
    await t.rejects(ledger.commit([entry({ seqs: [6] })]), { name: 'LedgerLost' });
  });
}

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
  const file = (schema: string) =>
    join(
      folderWith(t, {
        'router.yaml': `data_dir: ${folderWith(t, {})}\nledger: { type: postgres, url: '${server.url}', schema: ${schema} }
sources: [{ name: site, type: mqtt, url: 'mqtt://127.0.0.1:1', client_id: router }]\n`,
      }),
      'router.yaml',
    );
  const verify = await headgate(['ledger', 'verify', '--config', file('nowhere')], { timeoutMs: 60_000 });
  t.match(verify, { code: 1, stderr: /there is no ledger in schema nowhere/ });
  const { rowCount } = await other.query("SELECT FROM pg_namespace WHERE nspname = 'nowhere'");
  t.equal(rowCount, 0);
  await other.query('ALTER SYSTEM SET fsync = off');
  await other.query('SELECT pg_reload_conf()');
  t.teardown(() => other.query('ALTER SYSTEM RESET fsync'));
  const router = await headgate(['router', '--config', file('unsafe')], { timeoutMs: 60_000 });
  t.match(router, {
    code: 78,
    stderr: /^headgate: PostgreSQL runs with fsync off: a commit would not be durable/m,
  });
});
