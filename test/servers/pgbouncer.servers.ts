/**
 * The ledger and the PostgreSQL feed behind Debian's PgBouncer, with session and with transaction pooling:
 * no setting of the pooler is needed, and none of another client reaches the ledger.
 */
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import t, { type Test } from 'tap';
import { PostgresSink } from '../../router/feeds/sinks/postgres.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { Database } from '../../router/ledger/postgres/connection.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import { runLedgerContract } from '../router/ledger/contract.ts';
import { entry } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { pgbouncer } from './pgbouncer.ts';
import { postgres } from './postgres.ts';
import { URL_VARIABLE } from './postgres-engine.ts';

const log = createLogger({ level: 'silent', levels: {} });
const NOTHING = new Uint8Array();

t.setTimeout(900_000);
const server = await postgres();
t.teardown(() => server.remove());
await server.start();

const TIMEOUT_MS = 30_000;

async function opened(t: Test, url: string, schema: string): Promise<Ledger> {
  const options = { url, schema, connectionsMax: 4, timeoutMs: TIMEOUT_MS };
  const ledger = await openPostgresLedger({ ...options, clock, log });
  t.teardown(() => ledger.close());
  return ledger;
}

function connected(t: Test, url: string, schema: string, timeoutMs = TIMEOUT_MS): Database {
  const options = { url, schema, connectionsMax: 1, timeoutMs };
  const db = new Database(options, clock, new SparseLog({ log, clock }));
  t.teardown(() => db.close());
  return db;
}

for (const mode of ['session', 'transaction'] as const) {
  await t.test(`${mode} pooling`, async (t) => {
    const pooler = await pgbouncer(testDir(t), server.url, mode);
    t.teardown(() => pooler.stop());
    const { url } = pooler;

    await t.test('two ledgers keep apart, whichever connections they get', async (t) => {
      const one = await opened(t, url, `${mode}_one`);
      const two = await opened(t, url, `${mode}_two`);
      for (let seq = 1; seq <= 20; seq += 1) {
        await Promise.all([
          one.commit([entry({ gateway: 'gw-1', seqs: [seq] })]),
          two.commit([entry({ gateway: 'gw-2', seqs: [seq] })]),
        ]);
      }
      for (const [ledger, gateway] of [
        [one, 'gw-1'],
        [two, 'gw-2'],
      ] as const) {
        t.match(await ledger.completeness(), [{ gateway, completeTo: 20 }]);
        t.equal((await ledger.completeness()).length, 1);
        t.match(await ledger.verify(), { records: 20, problemCount: 0 });
      }
    });

    await t.test('a feed writes into its own schema, each record once', async (t) => {
      const ledger = await opened(t, url, `${mode}_one`);
      const records = await ledger.read(0, 100);
      const schema = `${mode}_feed`;
      const options = { url, schema, table: 'reading', json: true, timeout: TIMEOUT_MS };
      const sink = new PostgresSink('table', options, { clock, log });
      t.teardown(() => sink.close());
      const from = await sink.position({ offset: 0, progress: NOTHING }, ledger);
      const after = (count: number) => ({ offset: count, progress: NOTHING });
      await sink.write(records, { from, after });
      t.match(await sink.position(from, ledger), { offset: 20 });
      const { rows } = await connected(t, server.url, schema).query('SELECT seq FROM reading');
      t.equal(rows.length, 20);
    });

    await t.test('each transaction has its schema, time limits and durability from itself', async (t) => {
      const db = connected(t, url, `${mode}_one`);
      const settings = `SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS statement,
        current_setting('idle_in_transaction_session_timeout') AS idle,
        current_setting('synchronous_commit') AS commit, current_setting('transaction_isolation') AS isolation`;
      const { port } = new URL(url);
      const other = new pg.Client({ connectionString: url });
      await other.connect();
      t.teardown(() => other.end());
      // With transaction pooling these stay with the connections to the server, for whoever gets them next.
      const leak = 'SET synchronous_commit = off; SET statement_timeout = 0; SET search_path = public';
      for (let i = 0; i < 5; i += 1) await other.query(leak);
      for (let i = 0; i < 5; i += 1) {
        const { rows } = await db.query(settings);
        t.match(
          rows,
          [{ path: `${mode}_one`, statement: '30s', idle: '30s', commit: 'on', isolation: 'read committed' }],
          `through ${port}`,
        );
      }
      const { rows } = await db.transaction((client) => client.query(settings), { mode: 'REPEATABLE READ' });
      t.match(rows, [{ isolation: 'repeatable read' }]);
    });

    await t.test('a statement that takes too long is ended by the server', async (t) => {
      const db = connected(t, url, `${mode}_one`, 300);
      await t.rejects(db.query('SELECT pg_sleep(600)'), { code: '57014' });
    });
  });
}

await t.test('transaction pooling: the contract of every engine', async (t) => {
  const pooler = await pgbouncer(testDir(t), server.url, 'transaction');
  t.teardown(() => pooler.stop());
  process.env[URL_VARIABLE] = pooler.url;
  await runLedgerContract(t, fileURLToPath(new URL('postgres-engine.ts', import.meta.url)));
});
