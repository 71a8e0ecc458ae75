/**
 * The files of this package's programs: sources in the repository, bundles of `npm run build` in an installed
 * package.
 */
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const IS_BUILT = !import.meta.url.endsWith('.ts');

/** Absolute path of package.json. Throws when it is missing. */
export function packageFile(): string {
  const file = findPackageJSON(import.meta.url);
  if (file === undefined) throw new Error('package.json is missing');
  return file;
}

/** The `headgate` command, to be run with Node.js. */
export function commandFile(): string {
  return join(dirname(packageFile()), 'bin', 'headgate.js');
}

/**
 * The URL of `source`, named as in the repository: `agent/store/thread/worker.ts`. It must be one of the
 * programs in build/bundle.ts.
 */
export function programUrl(source: string): URL {
  const path = IS_BUILT ? join('dist', source.replace(/\.ts$/, '.js')) : source;
  return pathToFileURL(join(dirname(packageFile()), path));
}
