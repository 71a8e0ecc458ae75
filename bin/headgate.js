#!/usr/bin/env node
// Plain old JavaScript, and nothing is imported before the version is known: an unsupported Node.js must get
// as far as the one line that says so, instead of a syntax error somewhere in a dependency.
const NEEDED = [22, 15];
/** From here on Node.js runs TypeScript sources as they are. */
const NEEDED_FOR_SOURCES = '22.18';
/** EX_CONFIG: systemd does not restart on it, and no restart would help. */
const EXIT_CONFIG = 78;
const EXIT_SOFTWARE = 70;
/**
 * libuv's threads, of which half may look names up: one look-up without an answer holds one for ten seconds
 * and more. Set before anything runs on them; a number of yours stays.
 */
const THREADS = '24';

function fail(message) {
  process.stderr.write(`headgate: ${message}\n`);
  process.exitCode = EXIT_CONFIG;
}

function start() {
  const existsSync = process.getBuiltinModule('node:fs').existsSync;
  const sources = new URL('../cli/main.ts', import.meta.url);
  const built = new URL('../dist/cli/main.js', import.meta.url);
  // Node.js refuses to strip types under node_modules: an installed package runs its bundle.
  const installed = import.meta.url.indexOf('/node_modules/') !== -1;
  const entry = !installed && existsSync(sources) ? sources : built;
  if (entry === sources && !process.features.typescript) {
    fail(
      `run from its sources it needs Node.js >= ${NEEDED_FOR_SOURCES}, this is ${process.versions.node}: run \`npm ci && node_modules/.bin/node bin/headgate.js\``,
    );
  } else if (!existsSync(entry)) {
    fail('this copy has no dist/: run `npm run build` in it, or install the package from the registry');
  } else {
    import(entry.href)
      .then((cli) => cli.main(process.argv))
      .catch((error) => {
        fail(`cannot start: ${process.env.HEADGATE_DEBUG ? error.stack : error.message}`);
        process.exitCode = EXIT_SOFTWARE;
      });
  }
}

const version = process.versions.node.split('.').map(Number);
if (version[0] < NEEDED[0] || (version[0] === NEEDED[0] && version[1] < NEEDED[1])) {
  fail(
    `needs Node.js >= ${NEEDED.join('.')}, this is ${process.versions.node} (${process.execPath}): run \`npx headgate …\`, or \`node_modules/.bin/node bin/headgate.js …\` after \`npm ci\``,
  );
} else {
  if (!(Number(process.env.UV_THREADPOOL_SIZE) > 0)) process.env.UV_THREADPOOL_SIZE = THREADS;
  start();
}
