/**
 * tap as one file: its 292 modules take 0.3 s of processor time to load, and each of some three hundred test
 * files loads them. A test that is run by itself loads tap as it is.
 */
import { existsSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { build } from 'esbuild';

const { version }: { version: string } = createRequire(import.meta.url)('tap/package.json');

/**
 * Bundles the installed tap into `root`, once for each version of it.
 *
 * @returns the file. tap leaves what lies under `node_modules/@tapjs` out of the stacks that it prints.
 */
export async function bundleTap(root: string): Promise<string> {
  const file = `${root}.tap/node_modules/@tapjs/tap-${version}.mjs`;
  if (existsSync(file)) return file;
  const part = `${file}.${process.pid}`;
  await build({
    stdin: { contents: "export * from 'tap'; export { default } from 'tap';", resolveDir: root },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    outfile: part,
    logLevel: 'error',
    // Some of its packages are CommonJS.
    banner: { js: "import { createRequire as of } from 'node:module'; const require = of(import.meta.url);" },
  });
  renameSync(part, file);
  return file;
}
