/** `npm run test:foreign`: clients that were written elsewhere, against the loopback clouds. */
import { runFiles } from '../runner/run-files.ts';
import { readScript } from '../script.ts';

const SUITES: Readonly<Record<string, string>> = {
  aws: 'test/foreign/aws.foreign.ts',
  azure: 'test/foreign/azure.foreign.ts',
  gcp: 'test/foreign/gcp.foreign.ts',
};

const names = Object.keys(SUITES);
const { chosen } = readScript(
  {
    command: 'npm run test:foreign',
    argument: '[suite …]',
    does: `Runs foreign clients against the loopback clouds, or the suites named: ${names.join(', ')}. The first run makes a Python environment in node_modules/.cache with pip, and builds a Go program. A missing tool fails and says how to install it. Exits 1 when one failed.`,
    options: {},
    example: 'aws gcp',
  },
  (_options, chosen) => {
    for (const name of chosen) {
      if (!(name in SUITES)) throw new Error(`there is no suite "${name}"`);
    }
    return { chosen: chosen.length === 0 ? names : chosen };
  },
);

process.exitCode = (await runFiles(
  chosen.flatMap((name) => SUITES[name] ?? []),
  { jobs: 1 },
))
  ? 0
  : 1;
