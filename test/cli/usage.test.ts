/** Mistakes that the command line refuses before it contacts a server, and its help. */
import { join } from 'node:path';
import t from 'tap';
import { command, folderWith } from './run.ts';

/** No server listens there: a command that asks all the same ends with 69. */
const NOBODY = ['--admin', 'http://127.0.0.1:1'];

t.test('a mistake that can be seen here is told without asking the agent', async (t) => {
  for (const [args, stderr] of [
    [['where', 'abc'], /"abc" is not a record id: expected <gateway>\/<epoch>\/<stream>\/<seq>/],
    [['hold', 'add', 'aws', '--for', '5parsecs'], /--for: expected a duration such as/],
    [['hold', 'add', 'aws', '--for', '10ms'], /--for: expected 1s to 366d/],
    [['explain', '--stream', 'a', 'b'], /"a" and "b": name one stream/],
    [['explain', 'a', 'b'], /too many arguments/],
  ] as const) {
    t.match(await command([...args, ...NOBODY]), { code: 2, stdout: '', stderr });
  }
  for (const args of [
    ['where', 'gw-1/12-9f3c01ab/telemetry/4711'],
    ['hold', 'add', 'aws', '--for', '30m'],
    ['explain', '--stream', 'a', 'a'],
  ]) {
    t.match(await command([...args, ...NOBODY]), { code: 69 });
  }
});

t.test('a data folder that is not there is a mistake', async (t) => {
  const dir = join(folderWith(t, {}), 'none');
  const stderr = `headgate: --data-dir: there is no folder ${dir}\n`;
  for (const args of [['ls'], ['add', 'press-1'], ['group', 'ls']])
    t.match(await command(['device', ...args, '--data-dir', dir]), { code: 2, stdout: '', stderr });
  const file = join(folderWith(t, { file: '' }), 'file');
  t.match(await command(['device', 'ls', '--data-dir', file]), { code: 2, stderr: /there is no folder/ });
});

t.test('help says defaults and formats', async (t) => {
  const help = async (...args: string[]): Promise<string> =>
    (await command([...args, '--help'])).stdout.replaceAll(/\s+/g, ' ');
  t.match(
    await help('status'),
    /default: http:\/\/127\.0\.0\.1:9464, with --router http:\/\/127\.0\.0\.1:9465/,
  );
  t.match(await help('costs'), /default: "http:\/\/127\.0\.0\.1:9464"/);
  t.match(await help('device', 'import'), /name, password and groups \(separated by spaces\)/);
  t.match(await help('device', 'import'), /JSON: a list of objects with these keys/);
});
