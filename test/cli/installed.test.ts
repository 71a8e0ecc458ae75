import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { packageVersion } from '../../shared/version.ts';
import { installedPackage } from './installed-package.ts';
import { headgate, ROOT } from './run.ts';

const { bin, dist, build } = installedPackage(t);

t.test('without dist/ it says what is missing', async (t) => {
  t.match(await headgate(['--version'], { bin }), { code: 78, stderr: /^headgate: this copy has no dist\// });
});

t.test('a copy that cannot be loaded says so in one line', async (t) => {
  mkdirSync(join(dist, 'cli'), { recursive: true });
  writeFileSync(join(dist, 'cli', 'main.js'), "import 'headgate-no-such-package';\n");
  const ran = await headgate(['--version'], { bin });
  t.match(ran, { code: 70, stdout: '', stderr: /^headgate: cannot start: Cannot find package .*\n$/ });
});

t.test('with dist/ it runs from node_modules, as npx does', async (t) => {
  build();
  t.match(await headgate(['--version'], { bin }), { code: 0, stdout: `${packageVersion()}\n`, stderr: '' });
  const example = join(ROOT, 'docs', 'examples', 'agent.minimal.yaml');
  t.match(await headgate(['config', 'check', example, '--no-secrets'], { bin }), {
    code: 0,
    stdout: /: ok \(agent\)\n/,
  });
});
