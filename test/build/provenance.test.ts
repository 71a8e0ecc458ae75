/** The provenance of a package, made in a clone of this repository. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { packageVersion } from '../../shared/version.ts';
import { ROOT } from '../cli/run.ts';
import { testDir } from '../test-dir.ts';

const git = (cwd: string, ...args: string[]): string =>
  execFileSync('git', args, { cwd, encoding: 'utf8' }).trim();
const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

t.test('provenance names the commit, the lock file and the bytes of the package', async (t) => {
  const clone = join(testDir(t), 'clone');
  git(ROOT, 'clone', '--quiet', '--shared', ROOT, clone);
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
  const name = `headgate-${packageVersion()}`;
  const tarball = join(clone, `${name}.tgz`);
  const made = () => spawnSync(process.execPath, ['build/provenance.ts'], { cwd: clone, encoding: 'utf8' });
  const read = () => JSON.parse(readFileSync(join(clone, `${name}.intoto.json`), 'utf8'));

  writeFileSync(tarball, 'the package');
  t.match(made(), { status: 0, stdout: `${name}.intoto.json` });
  const first = read();
  t.match(first, {
    subject: [{ name: `${name}.tgz`, digest: { sha256: sha256(tarball) } }],
    predicate: {
      buildDefinition: {
        resolvedDependencies: [
          { name: 'source', digest: { gitCommit: git(ROOT, 'rev-parse', 'HEAD') } },
          { name: 'package-lock.json', digest: { sha256: sha256(join(clone, 'package-lock.json')) } },
        ],
      },
      runDetails: { builder: { id: 'pkg:npm/headgate#build/provenance.ts' } },
    },
  });
  t.match(made(), { status: 0 });
  t.strictSame(read(), first, 'of the same bytes it is the same');
  appendFileSync(tarball, '.');
  t.match(made(), { status: 0 });
  t.not(read().subject[0].digest.sha256, first.subject[0].digest.sha256, 'one byte more is another package');
  appendFileSync(join(clone, 'README.md'), 'changed');
  t.match(made(), { status: 1, stderr: /changes that are not committed/ });
});
