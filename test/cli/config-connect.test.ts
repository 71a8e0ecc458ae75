/** `config check --connect` against the loopback clouds: the phases that pass, and the phase that fails. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { BIN, command, folderWith, headgate } from './run.ts';

t.test('every provider is resolved, connected and published to', async (t) => {
  const dir = folderWith(t, {});
  const args = ['-u', 'NODE_OPTIONS', process.execPath, BIN, 'clouds', '--control-port', '0'];
  const child = spawn('env', [...args, '--dir', dir, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  t.teardown(() => {
    child.kill('SIGTERM');
    return ended;
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const { control } = JSON.parse(String(line));
  const file = join(dir, 'agent.yaml');

  const all = await headgate(['config', 'check', '--connect', file], { timeoutMs: 120_000 });
  t.match(all, { code: 0, stderr: '' });
  for (const name of ['aws', 'azure', 'gcp']) t.match(all.stdout, `${name}: resolve, connect, publish, ok\n`);

  await command(['clouds', 'fault', 'aws:unauthorized', '--control', control]);
  const refused = await command(['config', 'check', '--connect', file]);
  t.equal(refused.code, 1);
  t.match(refused.stdout, /^aws: resolve, connect, publish: rejected \(unauthorized\): /m);
  t.match(refused.stdout, 'gcp: resolve, connect, publish, ok\n');
});
