/** Two routers on one `data_dir`, as processes: the second is refused, commands beside the first are not. */
import { join } from 'node:path';
import t from 'tap';
import { headgate } from '../../../cli/run.ts';
import { freePort } from '../../../servers/free-port.ts';
import { routerProcess } from '../../../servers/router-process.ts';
import { testDir } from '../../../test-dir.ts';

t.setTimeout(240_000);

t.test('a second router on the same data_dir is refused until the first is gone', async (t) => {
  const dir = testDir(t);
  const url = `mqtt://127.0.0.1:${await freePort()}`;
  const config = { sources: [{ name: 'site', type: 'mqtt', url, client_id: 'router' }] };
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
