import { spawn } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { packageVersion } from '../../shared/version.ts';
import { BIN, command, folderWith, headgate } from './run.ts';

t.test('--version and --help', async (t) => {
  t.match(await headgate(['--version']), { code: 0, stdout: `${packageVersion()}\n`, stderr: '' });
  const help = await headgate(['--help']);
  t.equal(help.code, 0);
  for (const command of ['agent', 'router', 'clouds', 'demo', 'status', 'explain', 'costs', 'config']) {
    t.match(help.stdout, new RegExp(`^ {2}${command} `, 'm'));
  }
});

t.test('every command has its help', async (t) => {
  const commands = [
    'agent',
    'router',
    'clouds',
    'clouds start',
    'clouds fault',
    'clouds status',
    'demo',
    'explain',
  ];
  await Promise.all(
    [...commands, 'status', 'costs', 'config', 'config check', 'config schema'].map(async (name) => {
      const { code, stdout, stderr } = await command([...name.split(' '), '--help']);
      t.equal(code, 0, name);
      t.match(stdout, new RegExp(`^Usage: headgate ${name}`));
      t.equal(stderr, '');
    }),
  );
});

/** A module that adds the packages which a process has loaded to its stderr. */
const TELLS_PACKAGES = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  const packages = new Set();
  registerHooks({
    load(url, context, next) {
      packages.add(/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1]);
      return next(url, context);
    },
  });
  process.on('exit', () => console.error([...packages].filter(Boolean).join()));
`)}`;

t.test('help and status load the parser of the arguments, and no more', async (t) => {
  const nodeArgs = ['--import', TELLS_PACKAGES];
  for (const args of [['--help'], ['agent', '--help'], ['status', '--admin', 'http://127.0.0.1:9']]) {
    const { stderr } = await headgate(args, { nodeArgs });
    t.match(stderr, /^commander\n$/m, args.join(' '));
  }
});

t.test('wrong usage ends with 2 and one line that says what', async (t) => {
  const cases: [string[], RegExp][] = [
    [['nonsense'], /^headgate: unknown command 'nonsense'/],
    [['stauts'], /Did you mean status\?/],
    [['agent'], /^headgate: required option '--config <file>'/],
    [['status', '--nope'], /^headgate: unknown option '--nope'/],
    [['config', 'check'], /^headgate: missing required argument 'file'/],
    [
      ['config', 'check', 'x.yaml', '--kind', 'agnet'],
      /^headgate: unknown kind "agnet"; known: agent, router, policy/,
    ],
    [['config', 'schema', 'x'], /^headgate: unknown kind "x"/],
    [['status', '--admin', 'localhost'], /^headgate: "localhost" is not an address/],
    [['clouds', '--control-port', 'x'], /^headgate: --control-port "x": expected 0 to 65535/],
    [['clouds', 'fault', 'aws'], /^headgate: "aws" is not <provider>:<fault>/],
    [
      ['clouds', 'fault', 'aws:slow', '--latency', '1s'],
      /^headgate: --latency "1s": expected whole milliseconds/,
    ],
    [
      ['demo', '--rate', 'x', '--fault', 'aws:x@1-2'],
      /^headgate: --fault .*unknown fault "x".*\nheadgate: --rate "x": expected a whole number from 1 to 100000\n$/,
    ],
  ];
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, stdout, stderr } = await command(args);
      t.equal(code, 2, args.join(' '));
      t.match(stderr, message);
      t.notMatch(stderr, /^ +at /m, 'no stack');
      t.equal(stdout, '');
    }),
  );
  t.match(await headgate([]), { code: 2, stderr: /^Usage: headgate/ });
});

t.test(
  'agent and router refuse a wrong configuration with 78, and say everything that is wrong',
  async (t) => {
    const dir = folderWith(t, { 'a.yaml': 'gateway: GW\nproviders: []\n', 'r.yaml': 'sources: 3\nfoo: 1\n' });
    const agent = await headgate(['agent', '--config', join(dir, 'a.yaml')]);
    t.match(agent, { code: 78, stdout: '', stderr: /^headgate: .*a\.yaml: 3 mistakes\n/ });
    const router = await command(['router', '--config', join(dir, 'r.yaml')]);
    t.match(router, { code: 78, stdout: '', stderr: /^headgate: .*r\.yaml: 3 mistakes\n/ });
    const missing = await command(['agent', '--config', join(dir, 'none.yaml')]);
    t.match(missing, { code: 78, stderr: /none\.yaml\n {4}cannot be read \(ENOENT\)/ });
  },
);

t.test('a pipe that its reader closes is no failure', async (t) => {
  const args = [BIN, 'config', 'schema', 'agent'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  t.equal(await new Promise((resolve) => child.on('close', resolve)), 0);
  t.equal(stderr, '');
});

t.test('nobody at the admin or control address ends with 69', async (t) => {
  const nobody = 'http://127.0.0.1:9';
  t.match(await headgate(['status', '--admin', nobody]), { code: 69, stdout: '' });
  const commands = [
    ['status', '--admin', nobody],
    ['explain', '--admin', nobody],
    ['costs', '--admin', nobody],
    ['clouds', 'status', '--control', nobody],
    ['clouds', 'fault', 'aws:clear', '--control', nobody],
  ];
  await Promise.all(
    commands.map(async (args) => {
      const { code, stdout, stderr } = await command(args);
      t.equal(code, 69, args.join(' '));
      t.match(stderr, /^headgate: .* does not answer at http:\/\/127\.0\.0\.1:9 \(.+\)\n$/);
      t.equal(stdout, '');
    }),
  );
});
