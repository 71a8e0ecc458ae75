/** `npm run dev` as a developer has it, on a copy of the tree: start, a change, Ctrl-C. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { BIN, ROOT } from '../cli/run.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';

const PARTS = [
  'agent',
  'router',
  'shared',
  'loopback',
  'cli',
  'demo',
  'bin',
  'build',
  'test/script.ts',
  'package.json',
];

/** `npm run dev` in a process group of its own, which is what a terminal sends Ctrl-C to. */
function dev(t: Test, folder: string) {
  const script = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).scripts.dev.split(' ');
  const args = ['-u', 'NODE_OPTIONS', process.execPath, ...script.slice(1), '--control-port', '0'];
  const child = spawn('env', args, { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const interrupt = async () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGINT');
    const [code] = await ended;
    return code;
  };
  t.teardown(interrupt);
  const says = (pattern: RegExp, from = 0) =>
    until(`a line ${pattern}`, () => lines.slice(from).some((line) => pattern.test(line)));
  return { lines, says, interrupt, kill: (): boolean => child.kill('SIGKILL') };
}

/** The command lines of the processes that work on this folder. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return []; // it has ended meanwhile
      }
    })
    .filter((line) => line.includes(folder));
}

/** A copy of the sources, with configurations in `try/` that take free ports. */
async function copy(t: Test): Promise<string> {
  const folder = testDir(t);
  for (const part of PARTS) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const clouds = spawn(
    'env',
    [
      '-u',
      'NODE_OPTIONS',
      process.execPath,
      BIN,
      'clouds',
      '--dir',
      join(folder, 'try'),
      '--control-port',
      '0',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(clouds.stdout, 'data');
  clouds.kill('SIGTERM');
  await once(clouds, 'exit');
  for (const name of ['agent.yaml', 'router.yaml']) {
    const file = join(folder, 'try', name);
    const text = readFileSync(file, 'utf8').replace('port: 1883', 'port: 0');
    writeFileSync(file, `${text}admin: { port: 0 }\n`);
  }
  return folder;
}

const READY = { agent: /^\[agent\] +.*"process\.ready"/, router: /^\[router\] +.*"process\.ready"/ };

t.test('npm run dev', async (t) => {
  const folder = await copy(t);
  await t.test('starts all three, restarts what a change concerns, and leaves nothing', (t) =>
    changes(t, folder),
  );
  await t.test('leaves nothing when it is killed, either', async (t) => {
    const { says, kill } = dev(t, folder);
    await Promise.all([says(READY.agent), says(READY.router)]);
    kill();
    await until('no process is left', () => processesOf(folder).length === 0);
  });
});

async function changes(t: Test, folder: string): Promise<void> {
  const { lines, says, interrupt } = dev(t, folder);
  await says(/^\[clouds\] +Loopback clouds are up/);
  await Promise.all([says(READY.agent), says(READY.router), says(/^\[dev\] +all run/)]);

  const source = join(folder, 'agent', 'agent.ts');
  const beforeSource = lines.length;
  writeFileSync(source, `${readFileSync(source, 'utf8')}// changed\n`);
  await says(/^\[dev\] +agent\/agent\.ts changed/, beforeSource);
  await says(READY.agent, beforeSource);

  const beforeConfig = lines.length;
  const config = join(folder, 'try', 'router.yaml');
  writeFileSync(config, `${readFileSync(config, 'utf8')}dead_letters: { max_age: 20d }\n`);
  await says(/^\[dev\] +router\.yaml changed/, beforeConfig);
  await says(READY.router, beforeConfig);

  const starts = (name: string) => lines.filter((line) => line.includes(`${name} starts`)).length;
  t.strictSame([starts('clouds'), starts('router'), starts('agent')], [1, 2, 2], 'nothing else restarted');
  t.equal(await interrupt(), 0);
  t.strictSame(processesOf(folder), []);
}
