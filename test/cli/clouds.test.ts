import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { BIN, command, folderWith, headgate } from './run.ts';

/**
 * Real loopback clouds in a process of their own: the address of their control server, and SIGTERM with its
 * exit code.
 */
async function clouds(t: Test) {
  const dir = folderWith(t, {});
  const args = [BIN, 'clouds', '--control-port', '0', '--dir', dir, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const stop = () => {
    child.kill('SIGTERM');
    return ended;
  };
  t.teardown(stop);
  for await (const line of createInterface({ input: child.stdout }))
    return { control: JSON.parse(line).control, stop };
  throw new Error('the clouds did not start');
}

t.test('clouds fault switches a fault on and off, and clouds status shows it', async (t) => {
  const { control, stop } = await clouds(t);
  const faults = async () => {
    const { stdout } = await command(['clouds', 'status', '--control', control, '--json']);
    return JSON.parse(stdout).map((cloud: { name: string; fault: unknown }) => [cloud.name, cloud.fault]);
  };
  t.match(await faults(), [
    ['aws', null],
    ['azure', null],
    ['gcp', null],
  ]);
  const on = await headgate([
    'clouds',
    'fault',
    'azure:slow',
    '--latency',
    '5',
    '--jitter',
    '1',
    '--control',
    control,
  ]);
  t.match(on, { code: 0, stdout: 'azure:slow is on\n', stderr: '' });
  t.match((await faults())[1], ['azure', { name: 'slow', latencyMs: 5, jitterMs: 1 }]);
  const shown = await command(['clouds', 'status', '--control', control]);
  t.match(shown.stdout, /^azure {2}slow +0 /m);
  const off = await command(['clouds', 'fault', 'azure:clear', '--control', control]);
  t.match(off, { code: 0, stdout: 'azure has no fault\n', stderr: '' });
  t.match((await faults())[1], ['azure', null]);
  t.equal(await stop(), 0, 'SIGTERM is a clean end');
});

t.test('a port that is taken is told in one line, and ends with 1', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => void other.close());
  await new Promise((resolve) => other.once('listening', resolve));
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? String(address.port) : '';
  const { code, stderr } = await headgate(['clouds', '--control-port', port, '--dir', folderWith(t, {})]);
  t.equal(code, 1);
  t.match(
    stderr,
    /^headgate: --control-port: port \d+ of 127\.0\.0\.1 is in use \(EADDRINUSE\); stop the other/m,
  );
  t.notMatch(stderr, /^ +at /m, 'no stack');
});
