import { join } from 'node:path';
import t from 'tap';
import { listFeeds, resetFeed, skipRecord } from '../../cli/feeds.ts';
import { loadLedgerToolConfig } from '../../router/config.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { entry, seqs } from '../router/ledger/envelopes.ts';
import { command, folderWith, headgate } from './run.ts';

const log = createLogger({ level: 'silent', levels: {} });
const REST =
  'admin: { port: 1 }\nsources: [{ name: gcp, type: gcp, project: p, subscription: s }]\nfeeds: [{ name: file, type: ndjson, file: "-" }]\n';

t.test('feeds: ls, reset and skip, beside an open ledger', async (t) => {
  const dir = folderWith(t, {});
  const file = join(folderWith(t, { 'router.yaml': `data_dir: ${dir}\n${REST}` }), 'router.yaml');
  const feeds = (...args: string[]) => command(['feeds', ...args, '--config', file]);
  const process = (...args: string[]) => headgate(['feeds', ...args, '--config', file]);
  t.match(await feeds('ls'), { code: 1, stderr: /there is no ledger in/ });
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  await ledger.commit([entry({ seqs: seqs(1, 30) })]);
  t.match(await process('reset', 'file', '--to', '12'), {
    code: 0,
    stdout: 'file continues after offset 12\n',
  });
  t.equal((await ledger.loadFeedPosition('file')).offset, 12);
  t.match(await feeds('skip', 'file'), { code: 1, stderr: /the router does not answer .*--offset/ });
  t.match(await feeds('skip', 'file', '--offset', '14'), { code: 1, stderr: /not the next record/ });
  t.equal((await ledger.loadFeedPosition('file')).offset, 12);
  t.match(await feeds('skip', 'file', '--offset', '13'), {
    code: 0,
    stdout: 'file skips gw-1/1-aa/telemetry/13 at offset 13\n',
  });
  t.match((await feeds('ls')).stdout, /^file +ndjson +13 +17 +\d/m);
});

t.test('feeds: what is not possible is refused, and nothing is set', async (t) => {
  const dir = folderWith(t, {});
  const loaded = loadLedgerToolConfig('router.yaml', {
    env: {},
    readFile: () => `data_dir: ${dir}\n${REST}`,
  });
  if (!loaded.ok) throw new Error('the configuration of the test is not sound');
  const { config } = loaded;
  t.match(await skipRecord(config, 'file', '1'), { refused: /there is no ledger in/ });
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  await ledger.commit([entry({ seqs: [1, 2, 3] })]);
  t.match(await resetFeed(config, 'file', 'end'), { done: 'file continues after offset 3' });
  t.match(await skipRecord(config, 'file', '4'), { refused: /no record at offset 4/ });
  t.match(await skipRecord(config, 'file', '0'), { refused: /--offset takes/ });
  for (const to of ['4', '-1', 'x', '', '1e0']) {
    t.match(await resetFeed(config, 'file', to), { refused: /an offset up to 3/ }, to);
  }
  t.match(await resetFeed(config, 'none', '0'), { refused: 'there is no feed none; router.yaml has: file' });
  t.match(await listFeeds(config), [{ name: 'file', type: 'ndjson', offset: 3, records: 0, seconds: 0 }]);
});
