/**
 * Where the programs of this package are: sources run as they are, and an installed package as `npm run
 * build` made it.
 */
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const IS_BUILT = !import.meta.url.endsWith('.ts');

/** Absolute path of package.json. Throws when the package has lost it. */
export function packageFile(): string {
  const file = findPackageJSON(import.meta.url);
  if (file === undefined) throw new Error('package.json is missing');
  return file;
}

/** The `headgate` command, to be started with Node.js. */
export function commandFile(): string {
  return join(dirname(packageFile()), 'bin', 'headgate.js');
}

/**
 * `source` as in the repository: `agent/store/thread/worker.ts`. It is one of the programs that
 * build/bundle.ts names.
 */
export function programUrl(source: string): URL {
  const path = IS_BUILT ? join('dist', source.replace(/\.ts$/, '.js')) : source;
  return pathToFileURL(join(dirname(packageFile()), path));
}
