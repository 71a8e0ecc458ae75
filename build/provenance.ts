/**
 * `node build/provenance.ts`, after `npm pack`: how the package was made, as an in-toto statement with SLSA
 * provenance (https://slsa.dev/spec/v1.0/provenance) in headgate-<version>.intoto.json. It is not signed:
 * the publisher of a release signs it.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { packageVersion } from '../shared/version.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const name = `headgate-${packageVersion()}`;
const REPOSITORY = 'pkg:npm/headgate';

const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
const sha256 = (file: string): string =>
  createHash('sha256')
    .update(readFileSync(root + file))
    .digest('hex');

if (git('status', '--porcelain', '--untracked-files=no') !== '') {
  console.error('the tree has changes that are not committed: the package would be no commit’s');
  process.exit(1);
}
const statement = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ name: `${name}.tgz`, digest: { sha256: sha256(`${name}.tgz`) } }],
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: {
    buildDefinition: {
      buildType: `${REPOSITORY}#npm-run-package`,
      externalParameters: { command: 'npm run package' },
      internalParameters: { node: process.version, platform: process.platform, arch: process.arch },
      resolvedDependencies: [
        { name: 'source', digest: { gitCommit: git('rev-parse', 'HEAD') } },
        { name: 'package-lock.json', digest: { sha256: sha256('package-lock.json') } },
      ],
    },
    runDetails: { builder: { id: `${REPOSITORY}#build/provenance.ts` } },
  },
};
writeFileSync(`${root}${name}.intoto.json`, `${JSON.stringify(statement, null, 2)}\n`);
console.log(`${name}.intoto.json`);
