/** Two routers on one `data_dir`, as processes: the second is refused, commands beside the first are not. */
import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Ledger } from '../../../../router/ledger/ledger.ts';
import type { LedgerRole } from '../../../../router/ledger/role.ts';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { createLogger } from '../../../../shared/log.ts';
import { headgate } from '../../../cli/run.ts';
import { startAws } from '../../../loopback/start-aws.ts';
import { routerProcess } from '../../../servers/router-process.ts';
import { testDir } from '../../../test-dir.ts';
import { entry } from '../envelopes.ts';

t.setTimeout(240_000);

t.test('a second router on the same data_dir is refused until the first is gone', async (t) => {
  const dir = testDir(t);
  const aws = await startAws(t);
  const config = { sources: [aws.cloud.routerConfig()] };
  const first = await routerProcess(join(dir, 'first'), config);
  t.teardown(() => first.kill());
  await first.start();
  const second = await routerProcess(join(dir, 'second'), {
    ...config,
    data_dir: join(dir, 'first', 'data'),
  });
  t.teardown(() => second.kill());
  const file = join(dir, 'second', 'router.yaml');
  const run = (...args: string[]) => headgate([...args, '--config', file], { timeoutMs: 120_000 });
  const { code, stderr, stdout } = await run('router');
  t.equal(code, 1);
  t.match(stderr, /^headgate: another router has the ledger open: .*ledger\.db; stop it, or give this one/m);
  t.notMatch(stdout, /process\.ready/);
  t.match(await run('ledger', 'verify'), { code: 0, stdout: /clean/ }, 'commands go on beside it');
  await first.kill();
  await second.start();
  t.equal(await second.stop(), 0, 'a lock does not outlive a router that was killed');
});

const log = createLogger({ level: 'silent', levels: {} });

async function opened(t: Test, file: string, role: LedgerRole = 'router'): Promise<Ledger> {
  const ledger = await openSqliteLedger({ file, clock: systemClock, log, role });
  t.teardown(() => ledger.close());
  return ledger;
}

for (const [what, does, said] of [
  ['deleted', (file: string) => rmSync(file), /ledger\.db was deleted while it is open/],
  ['with its log deleted', (file: string) => rmSync(`${file}-wal`), /ledger\.db-wal was deleted/],
  [
    'replaced by a copy',
    (file: string) => {
      copyFileSync(file, `${file}.copy`);
      renameSync(`${file}.copy`, file);
    },
    /ledger\.db was replaced while it is open/,
  ],
] as const) {
  t.test(`a file that is ${what} under a running router takes no commit`, async (t) => {
    const file = join(testDir(t), 'ledger.db');
    const ledger = await opened(t, file);
    await ledger.commit([entry({ seqs: [1] })]);
    await ledger.ping();
    does(file);
    await t.rejects(ledger.ping(), { name: 'LedgerLost', message: said });
    await t.rejects(ledger.commit([entry({ seqs: [2] })]), { name: 'LedgerLost', message: said });
  });
}

t.test('a router does not begin anew, nor go on with another ledger or an older one', async (t) => {
  const dir = testDir(t);
  const file = join(dir, 'ledger.db');
  const first = await opened(t, file);
  await first.commit([entry({ seqs: [1] })]);
  await first.close();
  copyFileSync(file, join(dir, 'older.db'));
  const second = await opened(t, file);
  await second.commit([entry({ seqs: [2] })]);
  await second.close();
  const refused = (message: RegExp) => t.rejects(opened(t, file), { exitCode: 78, message });
  renameSync(file, join(dir, 'newer.db'));
  await refused(/is not the ledger that was here: it is missing/);
  t.notOk(existsSync(file), 'nothing was made');
  copyFileSync(join(dir, 'older.db'), file);
  await refused(/it ends at offset 1, and had come to 2: an older copy/);
  const other = await opened(t, join(dir, 'other.db'), 'router');
  await other.close();
  copyFileSync(join(dir, 'other.db'), file);
  await refused(/it is another ledger/);
  copyFileSync(join(dir, 'newer.db'), file);
  t.match(await (await opened(t, file)).totals(), { records: 2 });
});

t.test('a look makes nothing', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  await t.rejects(opened(t, file, 'tool'));
  t.notOk(existsSync(file));
});
