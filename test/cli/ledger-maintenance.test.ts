import { userInfo } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { entry } from '../router/ledger/envelopes.ts';
import { command, folderWith, headgate } from './run.ts';

const log = createLogger({ level: 'silent', levels: {} });
const SOURCES = 'sources: [{ name: gcp, type: gcp, project: p, subscription: s }]\n';

t.test('ledger erase and erasures, beside a running router', async (t) => {
  const dir = folderWith(t, {});
  const config = join(folderWith(t, { 'router.yaml': `data_dir: ${dir}\n${SOURCES}` }), 'router.yaml');
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  await ledger.commit([entry({ seqs: [1, 2, 3] }), entry({ gateway: 'gw-2', seqs: [1] })]);
  const erase = ['ledger', 'erase', '--config', config, '--device', 'device-1'];
  t.match(await headgate([...erase, '--gateway', 'gw-1', '--by', 'ann']), {
    code: 0,
    stdout: 'erased: 1 records, 0 versions kept aside, 0 dead letters\n',
  });
  t.match(await ledger.commit([entry({ seqs: [1, 2, 3] })]), [{ duplicate: 3 }], 'the router knows at once');
  const { stdout } = await command([...erase, '--json']);
  t.match(JSON.parse(stdout), { records: 1, gateway: null, actor: userInfo().username });
  const nobody = ['ledger', 'erase', '--config', config, '--device', 'nosuch'];
  t.match(await command(nobody), {
    code: 1,
    stderr: /the ledger has no record of device "nosuch"; the request/,
  });
  const told = await command(['ledger', 'erasures', '--config', config]);
  t.match(told.stdout, /^20\S+Z +20\S+Z +ann +gw-1 +device-1 +1 +0 +0$/m);
});

t.test('ledger where: every source that brought a record', async (t) => {
  const dir = folderWith(t, {});
  const config = join(folderWith(t, { 'router.yaml': `data_dir: ${dir}\n${SOURCES}` }), 'router.yaml');
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  await ledger.commit([entry({ seqs: [1, 2] }, 'gcp', 1000), entry({ seqs: [2] }, 'hub', 2000)]);
  const where = (id: string, ...flags: string[]) =>
    command(['ledger', 'where', id, '--config', config, ...flags]);
  const { stdout } = await where('gw-1/1-aa/telemetry/2');
  t.match(
    stdout,
    /^held at offset 2\n\nHOW .*\nstands +gcp +gcp +– +1970-.*\nother-source +hub +– +– +1970-.*\n$/,
  );
  t.match(await where('gw-1/1-aa/telemetry/3'), { code: 0, stdout: 'never-seen\n' });
  t.match(JSON.parse((await where('gw-1/1-aa/telemetry/1', '--json')).stdout), {
    first: { source: 'gcp' },
    again: [],
  });
  t.match(await where('gw-1/1-aa/telemetry'), { code: 2, stderr: /expected gateway\/epoch/ });
});
