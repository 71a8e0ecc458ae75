/** Commands on the ledger while a router runs: what they ask it, and what they tell it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import t, { type Test } from 'tap';
import { maintenanceRoutes } from '../../router/admin/maintenance.ts';
import type { RefusedRecord } from '../../router/feeds/refusals.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { Receipts } from '../../router/receipts/receipts.ts';
import { AdminServer } from '../../shared/admin-server.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import { createLogger } from '../../shared/log.ts';
import { entry, envelope } from '../router/ledger/envelopes.ts';
import { until } from '../until.ts';
import { command, folderWith } from './run.ts';

const log = createLogger({ level: 'silent', levels: {} });
const POSTGRES = 'ledger: { type: postgres, url: "postgres://h:p@127.0.0.1:1/h" }\n';
const REFUSED: RefusedRecord = { id: 'gw-1/1-aa/telemetry/2', offset: 2, error: 'HTTP 422', tries: 3 };

interface Running {
  ledger: Ledger;
  receipts: Receipts;
  /** Gateways that commands told of. */
  told: string[];
  port: number;
  /** Writes a router.yaml for `dataDir` whose admin server is this one; returns its path. */
  config(dataDir: string, more?: string): string;
  dir: string;
}

/** The parts of a router that commands meet: its ledger, open, and its admin server. */
async function running(t: Test): Promise<Running> {
  const dir = folderWith(t, {});
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock: systemClock, log });
  const receipts = new Receipts({ ledger, clock: systemClock, intervalMs: 1 });
  const told: string[] = [];
  const feed = {
    name: 'file',
    phase: 'retrying' as const,
    cursor: 0,
    held: 0,
    written: 0,
    failures: 1,
    lastError: 'HTTP 422',
    refused: REFUSED,
    quarantined: 0,
  };
  const { routes, changes } = maintenanceRoutes({
    dataDir: dir,
    feeds: [{ name: 'file', state: () => feed }],
    onCommitElsewhere: (gateway) => {
      told.push(gateway);
      receipts.committedElsewhere(gateway);
    },
  });
  const server = new AdminServer({
    host: '127.0.0.1',
    port: 0,
    checks: {},
    registry: new Registry(),
    routes,
    changes,
    clock: systemClock,
    entropy: systemEntropy,
    log,
  });
  await server.start();
  t.teardown(() => server.stop());
  t.teardown(() => ledger.close());
  const port = server.port();
  const config = (dataDir: string, more = ''): string => {
    const text = `data_dir: ${dataDir}\nadmin: { port: ${port} }\nfeeds: [{ name: file, type: ndjson, file: "-" }]\nsources: [{ name: gcp, type: gcp, project: p, subscription: s }]\nlog: { level: error }\n${more}`;
    return join(folderWith(t, { 'router.yaml': text }), 'router.yaml');
  };
  return { ledger, receipts, told, port, config, dir };
}

t.test('deadletter retry: the receipt for its records goes out at once', async (t) => {
  const { ledger, receipts, told, config, dir } = await running(t);
  await ledger.deadLetter({
    source: 'gcp',
    reason: 'magic',
    detail: 'an older router could not read it',
    receivedWallMs: 0,
    bytes: encodeEnvelope(envelope({ seqs: [1, 2] })),
    authenticatedGateway: 'gw-1',
  });
  const stopping = new AbortController();
  t.teardown(() => stopping.abort());
  const first = await receipts.next('gw-1', 0, 0, stopping.signal);
  // A gateway that waits for news, for an hour.
  let news: Awaited<ReturnType<Receipts['next']>> = null;
  void receipts.next('gw-1', first?.version ?? 0, 3_600_000, stopping.signal).then((receipt) => {
    news = receipt;
  });
  const retried = await command(['deadletter', 'retry', '--all', '--config', config(dir)]);
  t.match(retried, { code: 0, stderr: '' });
  t.strictSame(told, ['gw-1']);
  t.match(await until('the receipt', () => news), { streams: [{ stream: 'telemetry', to: 2 }] });
});

t.test('feeds skip: the record that the router of this folder names, and no other router', async (t) => {
  const { ledger, config, dir } = await running(t);
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  await ledger.resetFeedPosition('file', 1);
  const other = folderWith(t, {});
  const elsewhere = await openSqliteLedger({ file: join(other, 'ledger.db'), clock: systemClock, log });
  t.teardown(() => elsewhere.close());
  await elsewhere.commit([entry({ seqs: [1, 2, 3] })]);
  await elsewhere.resetFeedPosition('file', 1);
  const skip = (dataDir: string) => command(['feeds', 'skip', 'file', '--config', config(dataDir)]);
  t.match(await skip(other), { code: 1, stderr: /works in .*, not in .*--offset skips/ });
  t.equal((await elsewhere.loadFeedPosition('file')).offset, 1);
  t.match(await skip(dir), { code: 0, stdout: 'file skips gw-1/1-aa/telemetry/2 at offset 2\n' });
});

t.test('ledger accept: not under a running router, which would undo it', async (t) => {
  const { config, dir } = await running(t);
  const seen = JSON.stringify({ 'postgres headgate': { id: 'aa', position: 7 } });
  const accept = (dataDir: string) => {
    writeFileSync(join(dataDir, 'ledger-seen.json'), seen);
    return command(['ledger', 'accept', '--config', config(dataDir, POSTGRES)]);
  };
  t.match(await accept(dir), { code: 1, stderr: /a router runs with .*: stop it first/ });
  t.equal(readFileSync(join(dir, 'ledger-seen.json'), 'utf8'), seen);
  // Without one it looks at the ledger first.
  const other = folderWith(t, {});
  t.match(await accept(other), { code: 1, stderr: /no ledger in PostgreSQL, schema headgate/ });
  t.equal(readFileSync(join(other, 'ledger-seen.json'), 'utf8'), seen);
});

t.test('a notice is taken from this machine alone, and only as it should be', async (t) => {
  const { port, told } = await running(t);
  const put = async (body: unknown, headers: Record<string, string> = {}): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/maintenance`, {
      method: 'PUT',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    });
    return response.status;
  };
  t.equal(await put({ gateway: 'gw-1' }, { origin: 'http://evil.example' }), 403);
  t.equal(await put({ gateway: 'gw-1', more: 1 }), 400);
  t.strictSame(told, []);
  t.equal(await put({ gateway: 'gw-1' }), 200);
  t.strictSame(told, ['gw-1']);
});
