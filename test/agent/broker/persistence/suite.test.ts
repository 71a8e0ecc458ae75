/** Our sessions pass aedes-persistence's own suite for implementations. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

t.test('the abstract suite of aedes-persistence', async (t) => {
  const suite = fileURLToPath(new URL('./abstract-suite.ts', import.meta.url));
  const { NODE_OPTIONS: _, ...env } = process.env;
  const run = spawnSync(process.execPath, ['--test-reporter=tap', suite], { encoding: 'utf8', env });
  t.equal(run.status, 0, run.stdout.slice(-2000) + run.stderr);
  t.match(run.stdout, /^# fail 0$/m);
  t.notMatch(run.stdout, /asynchronous activity/);
  const passed = Number(/^# pass (\d+)$/m.exec(run.stdout)?.[1]);
  t.ok(passed >= 50, `${passed} tests`);
});
