/** The files at the root of a folder: its composition root, and those that no room holds. */
import type { Finding, Tree } from './tree.ts';

const ROOTS: Readonly<Record<string, readonly string[]>> = {
  '': [
    '.editorconfig',
    '.gitattributes',
    '.gitignore',
    '.npmrc',
    '.nvmrc',
    'biome.json',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'Dockerfile.arm64',
    'LICENSE',
    'package.json',
    'README.md',
    'SECURITY.md',
    'tsconfig.json',
  ],
  'agent/': ['agent.ts'],
  'router/': ['router.ts', 'config.ts', 'entry-name.ts', 'maintenance.ts'],
  'shared/': [
    'admin-changes.ts',
    'admin-login.ts',
    'admin-server.ts',
    'aws-regions.ts',
    'aws-shadow.ts',
    'aws.ts',
    'backoff.ts',
    'clock.ts',
    'connect-rate.ts',
    'connection-string.ts',
    'entropy.ts',
    'environment-endpoints.ts',
    'error-text.ts',
    'exit-codes.ts',
    'gateway-token.ts',
    'interval-set.ts',
    'listening.ts',
    'living-connections.ts',
    'log.ts',
    'mqtt.ts',
    'observed-metrics.ts',
    'or-aborted.ts',
    'out-of-descriptors.ts',
    'printable.ts',
    'process.ts',
    'program.ts',
    'receipt.ts',
    'record.ts',
    'scratch.ts',
    'service.ts',
    'sparse-log.ts',
    'start-refused.ts',
    'sync-folder.ts',
    'time-limit.ts',
    'text-table.ts',
    'token-bucket.ts',
    'tls-files.ts',
    'twin-receipt.ts',
    'version.ts',
    'wire-json.ts',
    'within.ts',
    'zstd.ts',
  ],
  'test/': [
    'attempt.ts',
    'forward-clock.ts',
    'latency.ts',
    'manual-clock.ts',
    'skipping-clock.ts',
    'plain-broker.ts',
    'run.ts',
    'script.slow.ts',
    'script.ts',
    'silent-server.ts',
    'test-dir.ts',
    'tidy.test.ts',
    'turns.ts',
    'until.ts',
  ],
};

export function folderRoots(tree: Tree): Finding[] {
  return [...tree.files.keys()].flatMap((file): Finding[] => {
    const folder = file.slice(0, file.lastIndexOf('/') + 1);
    const listed = ROOTS[folder];
    if (!listed || listed.includes(file.slice(folder.length))) return [];
    const message = `not listed at the root of ${folder === '' ? 'the project' : folder}: put it into the room that it belongs to, or list it in test/tidy/roots.ts`;
    return [{ file, line: 1, message }];
  });
}
