/**
 * `npm run build`: what an installed package runs, in dist/. Each command's modules come bundled with the
 * packages that a standing agent needs: 110 files instead of 1,200, with little more than half of the source
 * text, which V8 keeps (docs/decisions/0013-bundled-package.md).
 */
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

/** Each program is started by its path (shared/program.ts). */
const PROGRAMS = [
  'cli/main.ts',
  'agent/store/thread/worker.ts',
  'router/ingest/decode-worker.ts',
  'router/ledger/sqlite/worker.ts',
  'demo/device.ts',
];

/** Not bundled: packages with native code, and packages for one kind of cloud, engine or command. */
const BESIDE = [
  'better-sqlite3',
  'azure-*',
  '@azure/*',
  '@google-cloud/*',
  '@grpc/*',
  'google-auth-library',
  'rhea',
  'pg',
  '@nats-io/*',
  '@peculiar/x509',
  'reflect-metadata',
  'log-update',
];

const { values } = parseArgs({ options: { 'out-dir': { type: 'string' } } });
const root = fileURLToPath(new URL('..', import.meta.url));
const outdir = values['out-dir'] ?? `${root}dist`;

rmSync(outdir, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: PROGRAMS,
  outbase: root,
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22.15',
  // ES modules where a package has them: unused exports are removed.
  mainFields: ['module', 'main'],
  external: BESIDE,
  // Bundled CommonJS code requires Node's own modules through it.
  banner: {
    js: "import{createRequire as requireOf}from'node:module';const require=requireOf(import.meta.url);",
  },
  // Names are kept for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'linked',
  logLevel: 'warning',
});
