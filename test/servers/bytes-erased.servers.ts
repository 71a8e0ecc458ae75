/** The remains of an erasure in the files of PostgreSQL and NATS, and the operator's part. */
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { openJetStreamLedger } from '../../router/ledger/jetstream/engine.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { DEVICE, fillWithTraces, tracesIn } from '../router/ledger/bytes-erased.ts';
import { testDir } from '../test-dir.ts';
import { LOGIN, natsServer } from './nats.ts';
import { postgres } from './postgres.ts';

const log = createLogger({ level: 'silent', levels: {} });

t.setTimeout(600_000);

async function erase(ledger: Ledger): Promise<void> {
  const { records, finishedWallMs } = await ledger.maintenance.erase(
    { device: DEVICE, gateway: null },
    'ann',
  );
  t.ok(records > 500 && finishedWallMs !== null);
}

t.test('PostgreSQL: the bytes are gone after VACUUM FULL and a checkpoint, not before', async (t) => {
  const server = await postgres();
  t.teardown(() => server.remove());
  await server.start();
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  t.teardown(() => client.end());
  const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
  const tables = join(rows[0]?.data_directory ?? '', 'base');
  const schema = 'bytes_erased';
  const options = { url: server.url, schema, connectionsMax: 4, timeoutMs: 20_000 };
  const ledger = await openPostgresLedger({ ...options, clock, log });
  t.teardown(() => ledger.close());
  const traces = await fillWithTraces(ledger);
  await client.query('CHECKPOINT');
  t.ok(tracesIn(tables, traces) > 500);
  await erase(ledger);
  await client.query('VACUUM');
  await client.query('CHECKPOINT');
  t.ok(tracesIn(tables, traces) > 0, 'an ordinary vacuum leaves them in the free space of pages');
  await client.query('VACUUM FULL');
  await client.query('CHECKPOINT');
  t.equal(tracesIn(tables, traces), 0);
});

t.test('JetStream: the server overwrites the bytes', async (t) => {
  const dir = testDir(t, {});
  const server = await natsServer(dir);
  t.teardown(() => server.kill());
  await server.start();
  const servers = [`nats://127.0.0.1:${server.port}`];
  const login = { user: LOGIN.username, password: LOGIN.password };
  const options = { servers, ...login, name: 'bytes-erased', replicas: 1, timeoutMs: 8000, clock, log };
  const ledger = await openJetStreamLedger(options);
  t.teardown(() => ledger.close());
  const traces = await fillWithTraces(ledger);
  const files = join(dir, 'jetstream');
  t.ok(tracesIn(files, traces) > 500);
  await erase(ledger);
  t.equal(tracesIn(files, traces), 0);
});
