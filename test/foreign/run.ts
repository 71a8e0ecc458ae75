/** `npm run test:foreign`: clients and clouds that were written elsewhere, against ours. */
import { globSync } from 'node:fs';
import { ROOT } from '../runner/run-file.ts';
import { runFiles } from '../runner/run-files.ts';
import { readScript } from '../script.ts';

const PYTHON = ['python3', 'python3-venv'];

interface Suite {
  file: string;
  /** Debian packages that hold its tools. Go is newer than Debian's. */
  needs: readonly string[];
  /** Fetches what no package registry has: only when it is named. */
  isByName?: boolean;
}

const SUITES: Readonly<Record<string, Suite>> = {
  aws: { file: 'test/foreign/aws.foreign.ts', needs: PYTHON },
  azure: { file: 'test/foreign/azure.foreign.ts', needs: PYTHON },
  gcp: { file: 'test/foreign/gcp.foreign.ts', needs: PYTHON },
  mosquitto: { file: 'test/foreign/mosquitto.foreign.ts', needs: ['mosquitto-clients'] },
  paho: { file: 'test/foreign/paho.foreign.ts', needs: [...PYTHON, 'git'], isByName: true },
};

const names = Object.keys(SUITES);
const byDefault = names.filter((name) => SUITES[name]?.isByName !== true);
const { chosen, packages } = readScript(
  {
    command: 'npm run test:foreign',
    argument: '[suite …]',
    does: `Runs foreign clients against the broker and the loopback clouds, and our agent and router against foreign clouds: ${byDefault.join(', ')}, or the suites named. The suite paho runs only when it is named: it clones Paho's interoperability suite, or takes it from the folder in PAHO_SUITE. The first run makes a Python environment in node_modules/.cache with pip, and builds Go programs. A missing tool fails and says how to install it. Exits 1 when one failed.`,
    options: { packages: { is: 'prints the Debian packages that the suites need, and runs nothing' } },
    example: 'aws gcp',
  },
  ({ packages }, chosen) => {
    for (const name of chosen) {
      if (!(name in SUITES)) throw new Error(`there is no suite "${name}"`);
    }
    const files = Object.values(SUITES).map(({ file }) => file);
    for (const file of globSync('test/**/*.foreign.ts', { cwd: ROOT })) {
      if (!files.includes(file)) throw new Error(`${file} is in no suite: list it in test/foreign/run.ts`);
    }
    return { chosen: chosen.length === 0 ? byDefault : chosen, packages };
  },
);

const suites = chosen.flatMap((name) => SUITES[name] ?? []);
if (packages) {
  console.log([...new Set(suites.flatMap(({ needs }) => needs))].join(' '));
} else {
  process.exitCode = (await runFiles(
    suites.map(({ file }) => file),
    { jobs: 1 },
  ))
    ? 0
    : 1;
}
