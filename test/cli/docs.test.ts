import { readFileSync } from 'node:fs';
import t from 'tap';
import { FAULT_NAMES } from '../../loopback/faults.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { command } from './run.ts';

const COMMANDS = [
  'demo',
  'clouds start',
  'clouds fault',
  'device add',
  'device group allow',
  'simulate',
  'explain',
  'hold add',
  'hold rm',
  'deadletter ls',
  'deadletter show',
  'fleet init',
  'fleet verify',
];
const page = readFileSync(new URL('../../docs/reference/cli.md', import.meta.url), 'utf8');

t.test(
  'docs/reference/cli.md names every exit code, every fault and every flag of the commands that have many',
  async (t) => {
    for (const code of Object.values(EXIT)) t.match(page, new RegExp(`^\\| ${code} \\|`, 'm'));
    for (const fault of FAULT_NAMES) t.match(page, `\`${fault}\``);
    for (const name of COMMANDS) {
      const { stdout } = await command([...name.split(' '), '--help']);
      const flags = [...stdout.matchAll(/^ {2}(--[a-z-]+)/gm)].map((match) => match[1] ?? '');
      t.ok(flags.length >= 3);
      for (const flag of flags) t.match(page, flag, `${name} ${flag}`);
    }
  },
);

t.test('the systemd units do not restart on a mistake in the configuration, and back off', async (t) => {
  for (const unit of ['agent', 'router']) {
    const text = readFileSync(new URL(`../../systemd/headgate-${unit}.service`, import.meta.url), 'utf8');
    t.match(text, new RegExp(`^RestartPreventExitStatus=${EXIT.config}$`, 'm'));
    t.match(text, /^RestartSteps=\d+\nRestartMaxDelaySec=60$/m, 'it backs off');
    t.match(text, new RegExp(` ${unit} --config /etc/headgate/${unit}\\.yaml$`, 'm'));
  }
});
