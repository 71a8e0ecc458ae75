/** The systemd units by systemd's own checks, and what their flags do to a real process. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ROOT } from '../cli/run.ts';
import { testDir } from '../test-dir.ts';

const NODE = '/opt/headgate/node_modules/.bin/node';
/** In tenths of systemd-analyze security, from 0 (none) to 100. */
const EXPOSURE_MAX = 15;
/** Of systemd 254: older versions pass over them. */
const NEWER_KEYS = /Unknown key '(?:RestartSteps|RestartMaxDelaySec)'/;

for (const name of ['agent', 'router']) {
  const unit = readFileSync(join(ROOT, `systemd/headgate-${name}.service`), 'utf8');

  t.test(`headgate-${name}: the unit is well formed, and its exposure is low`, (t) => {
    const file = join(testDir(t), `headgate-${name}.service`);
    writeFileSync(file, unit.replaceAll(NODE, process.execPath));
    const said = analyzed(['verify', '--man=no', file]).filter((line) => !NEWER_KEYS.test(line));
    t.strictSame(said, []);
    analyzed(['security', '--offline=true', `--threshold=${EXPOSURE_MAX}`, file]);
    t.end();
  });

  t.test(`headgate-${name}: no core dump, and no debugger on SIGUSR1`, async (t) => {
    const flags = /^ExecStart=\S+ (.*?) \S+headgate\.js /m.exec(unit)?.[1]?.split(' ') ?? [];
    t.match(await saidAfterSignal(t, flags), /^beginning\ndone\n$/);
    t.match(await saidAfterSignal(t, []), 'Debugger listening', 'without the flags it opens a port');
    t.match(unit, /^LimitCORE=0$/m);
  });
}

/** Lines of stderr; throws where the command fails. */
function analyzed(options: readonly string[]): string[] {
  const script = 'systemd-analyze --no-pager "$@" 2>&1 >/dev/null';
  const text = execFileSync('bash', ['-c', script, 'bash', ...options], { encoding: 'utf8' });
  return text.split('\n').filter((line) => line !== '');
}

/** All that a process with these flags prints when SIGUSR1 reaches it, then SIGTERM. */
async function saidAfterSignal(t: Test, flags: readonly string[]): Promise<string> {
  const program = `process.once('SIGTERM', () => { console.log('done'); process.exit(); });
    setInterval(() => undefined, 1000); console.log('beginning');`;
  const child = spawn(process.execPath, [...flags, '--inspect-port=0', '-e', program]);
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  const ended = once(child, 'close');
  const heard = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk;
      resolve();
    });
  });
  const asked = new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk;
      resolve();
    });
  });
  await heard;
  child.kill('SIGUSR1');
  // With the flags nothing comes of it: the next signal follows it.
  if (flags.length === 0) await asked;
  child.kill('SIGTERM');
  await ended;
  return said;
}
