import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { packageVersion } from '../../shared/version.ts';
import { headgate, ROOT } from './run.ts';

// Node.js strips no types under node_modules, so an installed package runs what `npm run build` made.
const top = mkdtempSync(join(tmpdir(), 'headgate-installed-'));
t.teardown(() => rmSync(top, { recursive: true, force: true }));
const installed = join(top, 'node_modules', 'headgate');
const bin = join(installed, 'bin', 'headgate.js');
mkdirSync(installed, { recursive: true });
cpSync(join(ROOT, 'bin'), join(installed, 'bin'), { recursive: true });
cpSync(join(ROOT, 'package.json'), join(installed, 'package.json'));
symlinkSync(join(ROOT, 'node_modules'), join(installed, 'node_modules'));

t.test('without dist/ it says what is missing', async (t) => {
  t.match(await headgate(['--version'], { bin }), { code: 78, stderr: /^headgate: this copy has no dist\// });
});

t.test('a copy that cannot be loaded says so in one line', async (t) => {
  mkdirSync(join(installed, 'dist', 'cli'), { recursive: true });
  writeFileSync(join(installed, 'dist', 'cli', 'main.js'), "import 'headgate-no-such-package';\n");
  const ran = await headgate(['--version'], { bin });
  t.match(ran, { code: 70, stdout: '', stderr: /^headgate: cannot start: Cannot find package .*\n$/ });
});

t.test('with dist/ it runs from node_modules, as npx does', async (t) => {
  const build = [join(ROOT, 'build', 'bundle.ts'), '--out-dir', join(installed, 'dist')];
  execFileSync('env', ['-u', 'NODE_OPTIONS', process.execPath, ...build], { cwd: ROOT });
  t.match(await headgate(['--version'], { bin }), { code: 0, stdout: `${packageVersion()}\n`, stderr: '' });
  const example = join(ROOT, 'docs', 'examples', 'agent.minimal.yaml');
  t.match(await headgate(['config', 'check', example], { bin }), { code: 0, stdout: /: ok \(agent\)\n$/ });
});

t.test('the bundle holds the whole way: agent and router, three clouds over their SDKs', async (t) => {
  const args = ['demo', '--json', '--duration', '8'];
  const ran = await headgate(args, { bin, env: { TMPDIR: top }, timeoutMs: 120_000 });
  t.match({ ...ran, stdout: JSON.parse(ran.stdout) }, { code: 0, stdout: { verdict: 'ok', missing: 0 } });
});
