/** `/v1/status` while the ledger is away, and the sources in `/readyz`. */
import { join } from 'node:path';
import t from 'tap';
import { routerRoutes } from '../../../router/admin/status.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import type { Source } from '../../../router/sources/source.ts';
import { Standing } from '../../../router/sources/standing.ts';
import { noneConnected } from '../../../router/sources/status.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { createLogger } from '../../../shared/log.ts';
import { testDir } from '../../test-dir.ts';
import { entry } from '../ledger/envelopes.ts';

const log = createLogger({ level: 'silent', levels: {} });

function source(name: string, standing: Standing): Source {
  return {
    name,
    type: 'mqtt',
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    state: () => standing.state(),
  };
}

t.test('status answers while the ledger is away, with what the router itself knows', async (t) => {
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock, log });
  await ledger.commit([entry({ seqs: [1, 2] })]);
  const standing = new Standing();
  standing.received(3, clock.wallMs());
  const routes = routerRoutes({
    sources: [source('a', standing)],
    ages: { of: () => ({ recordAgeMs: null, queueAgeMs: null }) },
    ingest: { counters: () => new Map() },
    quotas: { over: () => [] },
    maintenance: { stored: () => ({ total: 900, gateways: [{ gateway: 'gw-1', bytes: 300 }] }) },
    feeds: [],
    keyId: '0123456789abcdef',
    ledger,
    clock,
  });
  const { '/v1/status': status } = routes;
  if (!status) throw new Error('the route is missing');
  t.match(await status({}), {
    status: 200,
    body: {
      ledger: { records: 2 },
      ledgerError: null,
      stored: { total: 900, gateways: [{ gateway: 'gw-1', bytes: 300 }] },
      gateways: [{ gateway: 'gw-1' }],
    },
  });
  await ledger.close();
  t.match(await status({}), {
    status: 200,
    body: {
      ledger: null,
      ledgerError: /not open/,
      sources: [{ name: 'a', received: 3 }],
      summary: null,
      gateways: [],
      next: null,
    },
  });
});

t.test('a router none of whose sources is connected is not ready, and says why for each', async (t) => {
  const [a, b] = [new Standing(), new Standing()];
  const sources = [source('a', a), source('b', b)];
  t.equal(noneConnected(sources), 'a: not connected yet; b: not connected yet');
  a.lost('ECONNREFUSED');
  t.equal(noneConnected(sources), 'a: ECONNREFUSED; b: not connected yet');
  b.proven();
  t.equal(noneConnected(sources), null, 'one of them reads');
  b.cut('tls: no answer in 5000 ms');
  t.equal(noneConnected(sources), 'a: ECONNREFUSED; b: tls: no answer in 5000 ms');
  b.proven();
  t.match(
    b.state(),
    { connected: true, lastError: null, cuts: 1 },
    'a proof clears the error, not the count',
  );
});
