/**
 * `npm run test:weather`: makes the network namespaces and runs the cases in that of the agent. Root only.
 */
import { spawnSync } from 'node:child_process';
import { ROOT } from '../runner/run-file.ts';
import { readScript } from '../script.ts';
import { dropNet, EDGE, inside, NEEDS, raiseNet } from './net.ts';

const { only, packages } = readScript(
  {
    command: 'npm run test:weather',
    argument: '[part of a name]',
    does: 'Real agent, router and clouds in network namespaces, with DNS, links and addresses that fail. Needs root. Exits 1 when a case failed.',
    options: { packages: { is: 'prints the Debian packages that it needs, and runs nothing' } },
    example: 'AAAA',
  },
  ({ packages }, [only = '']) => ({ only, packages }),
);

if (packages) {
  console.log(NEEDS.join(' '));
} else if (process.getuid?.() !== 0) {
  console.error('npm run test:weather: only root may make network namespaces');
  process.exitCode = 1;
} else {
  raiseNet();
  try {
    const args = [`${ROOT}test/run.ts`, '--kind', 'weather', '--verbose'];
    const { status } = spawnSync(...inside(EDGE, process.execPath, args), {
      cwd: ROOT,
      stdio: 'inherit',
      env: { ...process.env, HEADGATE_WEATHER: only },
    });
    process.exitCode = status ?? 1;
  } finally {
    dropNet();
  }
}
