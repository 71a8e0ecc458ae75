import t from 'tap';
import { installedPackage } from './installed-package.ts';
import { headgate } from './run.ts';

t.test('the bundle holds the whole way: agent and router, three clouds over their SDKs', async (t) => {
  const { top, bin, build } = installedPackage(t);
  build();
  const ran = await headgate(['demo', '--json', '--duration', '8'], { bin, env: { TMPDIR: top } });
  t.match({ ...ran, stdout: JSON.parse(ran.stdout) }, { code: 0, stdout: { verdict: 'ok', missing: 0 } });
});
