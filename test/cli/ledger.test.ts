import { join } from 'node:path';
import Database from 'better-sqlite3';
import { Registry } from 'prom-client';
import t from 'tap';
import { routerRoutes } from '../../router/admin/status.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { AdminServer } from '../../shared/admin-server.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { entry } from '../router/ledger/envelopes.ts';
import { command, folderWith, headgate } from './run.ts';

const log = createLogger({ level: 'silent', levels: {} });
const SOURCES = 'sources: [{ name: gcp, type: gcp, project: p, subscription: s }]\n';

t.test('ledger verify: 0 when clean, 1 with what differs, and no ledger is made by looking', async (t) => {
  const dir = folderWith(t, {});
  const config = join(folderWith(t, { 'router.yaml': `data_dir: ${dir}\n${SOURCES}` }), 'router.yaml');
  const verify = ['ledger', 'verify', '--config', config];
  t.match(await command(verify), { code: 1, stderr: /there is no ledger in/ });
  const file = join(dir, 'ledger.db');
  const ledger = await openSqliteLedger({ file, clock: systemClock, log });
  t.teardown(() => ledger.close());
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  t.match(await headgate(verify), { code: 0, stdout: '3 records in 1 streams: clean\n', stderr: '' });
  const db = new Database(file);
  db.exec('DELETE FROM record WHERE seq = 2');
  db.close();
  const told = await command(verify);
  t.match(told, { code: 1, stdout: /2 records in 1 streams: 2 problems/ });
  t.match(told.stdout, /^gw-1 +1-aa +telemetry +seen-without-record +2–2$/m);
  t.match(told.stdout, /^gw-1 +telemetry +share-differs/m);
  const { code, stdout } = await command([...verify, '--json']);
  t.equal(code, 1);
  t.match(JSON.parse(stdout), { problemCount: 2, problems: [{ ranges: [{ first: 2, last: 2 }] }] });
});

t.test('completeness: all gateways, or one', async (t) => {
  const ledger = await openSqliteLedger({
    file: join(folderWith(t, {}), 'ledger.db'),
    clock: systemClock,
    log,
  });
  t.teardown(() => ledger.close());
  await ledger.commit([entry({ seqs: [1, 2, 5] }), entry({ gateway: 'gw-2', seqs: [1] })]);
  // More than a page.
  await ledger.commit(
    Array.from({ length: 1100 }, (_, i) => entry({ gateway: 'gw-3', stream: `s${i}`, seqs: [1] })),
  );
  const routes = routerRoutes({
    sources: [],
    ages: { of: () => ({ recordAgeMs: null, queueAgeMs: null }) },
    ingest: { counters: () => new Map() },
    quotas: { over: () => [] },
    maintenance: { stored: () => null },
    feeds: [],
    keyId: '0123456789abcdef',
    ledger,
    clock: systemClock,
  });
  const server = new AdminServer({
    host: '127.0.0.1',
    clock: systemClock,
    entropy: systemEntropy,
    port: 0,
    checks: {},
    registry: new Registry(),
    log,
    routes,
  });
  await server.start();
  t.teardown(() => server.stop());
  const completeness = ['completeness', '--admin', `http://127.0.0.1:${server.port()}`];
  const { code, stdout } = await headgate(completeness);
  t.equal(code, 0);
  t.match(stdout, /^gw-1 +1-aa +telemetry +2 +5 +2 \(3–4\) +nothing +0 +0 +nothing$/m);
  t.match(stdout, /^gw-2 /m);
  t.match(stdout, /^streams 1\.1k, 1 incomplete: 2 records missing; 0 given up$/m);
  t.equal(stdout.match(/^gw-3 /gm)?.length, 1100, 'page by page, everything');
  const one = await command([...completeness, '--gateway', 'gw-2', '--json']);
  t.match(JSON.parse(one.stdout), [{ gateway: 'gw-2', completeTo: 1, missing: [] }]);
  t.equal(JSON.parse(one.stdout).length, 1);
  t.match(await command([...completeness, '--gateway', 'nope']), {
    code: 1,
    stderr: 'headgate: the ledger has nothing of gateway "nope"\n',
  });
  const status = await command(['status', '--router', '--json', ...completeness.slice(1)]);
  const { gateways, summary, next } = JSON.parse(status.stdout);
  t.match({ summary, next }, { summary: { streams: 1102, incomplete: 1 }, next: null });
  t.strictSame(
    gateways.map(({ gateway, streams }: { gateway: string; streams: [] }) => [gateway, streams.length]),
    [
      ['gw-1', 1],
      ['gw-2', 1],
      ['gw-3', 1100],
    ],
    'a gateway that goes on in the next page is one',
  );
});
