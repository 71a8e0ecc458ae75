/** Commands on a real pseudo-terminal, which `script` of util-linux opens. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { BIN, folderWith } from '../cli/run.ts';
import { silentServer } from '../silent-server.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { TerminalScreen } from './terminal-screen.ts';

/** log-update ends each change of its picture with it: the end of a synchronised update. */
const PICTURE_END = `${String.fromCharCode(27)}[?2026l`;

interface Session {
  screen: TerminalScreen;
  /** All lines that were visible at some time. */
  seen: Set<string>;
  /** Pictures of log-update, whole ones, each as its lines. */
  pictures: string[][];
  exit: Promise<number | null>;
}

/** Starts `headgate` with these arguments on a terminal; it ends with the test. */
function onTerminal(t: Test, args: readonly string[], columns = 80, rows = 24): Session {
  const quoted = [process.execPath, BIN, ...args].map((arg) => `'${arg}'`).join(' ');
  // The shell becomes the command: a signal to the group of this pid reaches it.
  const command = `stty cols ${columns} rows ${rows}; exec ${quoted}`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'], TERM: 'xterm' },
  });
  const screen = new TerminalScreen(columns, rows);
  const seen = new Set<string>();
  const pictures: string[][] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen.write(text);
    const lines = screen.lines();
    for (const line of lines) seen.add(line);
    if (text.endsWith(PICTURE_END)) pictures.push(lines);
  });
  const exit = new Promise<number | null>((resolve) => child.on('close', resolve));
  t.teardown(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  return { screen, seen, pictures, exit };
}

function fifo(dir: string, name: string): string {
  const path = join(dir, name);
  execFileSync('mkfifo', [path]);
  return path;
}

t.test('a command says its work before it does it', async (t) => {
  const { port } = await silentServer(t);
  const dir = folderWith(t, {
    'router.yaml': [
      `data_dir: ${testDir(t)}`,
      'sources: []',
      `ledger: { type: postgres, url: "postgres://h:p@127.0.0.1:${port}/h?sslmode=disable" }`,
    ].join('\n'),
  });
  const config = ['--config', join(dir, 'router.yaml')];

  t.test('ledger verify, and ledger erase, of a server that does not answer', async (t) => {
    for (const [args, line] of [
      [['ledger', 'verify', ...config], 'headgate: verifying the PostgreSQL ledger in schema headgate'],
      [
        ['ledger', 'erase', '--device', 'press-1', ...config],
        'headgate: erasing every record of device "press-1" in the PostgreSQL ledger in',
      ],
    ] as const) {
      const { seen } = onTerminal(t, args);
      await until(line, () => seen.has(line));
    }
  });

  t.test('device import, before the file gives a line', async (t) => {
    const file = fifo(dir, 'devices.csv');
    const { seen, exit } = onTerminal(t, ['device', 'import', file, '--data-dir', dir]);
    await until('the first line', () => [...seen].some((line) => line.startsWith('headgate: importing')));
    writeFileSync(file, 'name,password\npress-1,a-good-password\n');
    t.equal(await exit, 0);
  });

  t.test('simulate, before its policy can be read', async (t) => {
    const { seen } = onTerminal(t, ['simulate', '--history', fifo(dir, 'history'), '--json']);
    const silent = onTerminal(t, ['simulate', '--history', join(dir, 'nothing')]);
    t.not(await silent.exit, 0);
    t.ok([...silent.seen].some((line) => line.startsWith('headgate: replaying the history in')));
    t.notOk(
      [...seen].some((line) => line.startsWith('headgate: replaying')),
      'nothing with --json',
    );
  });

  t.test('the demo, before it starts a process', async (t) => {
    const log = fifo(dir, 'clouds.log');
    const { seen } = onTerminal(t, ['demo', '--keep', dir]);
    const line = 'headgate demo: starting three loopback clouds, a router and a gateway';
    await until(line, () => seen.has(line));
    // The demo waits for a reader of that log; with one it can be ended.
    t.teardown(() => closeSync(openSync(log, constants.O_RDWR)));
  });
});

for (const columns of [80, 60]) {
  t.test(`the demo on ${columns}×24: its title is visible and no line wraps`, async (t) => {
    const { screen, seen, pictures, exit } = onTerminal(
      t,
      ['demo', '--duration', '6', '--rate', '100', '--devices', '4'],
      columns,
    );
    t.equal(await exit, 0, screen.lines().join('\n'));
    const isTitle = (line: string): boolean => /^headgate demo {3}(publish|drain|check) {3}\d/.test(line);
    const running = pictures.filter((lines) => lines.some((line) => line.includes('in the ledger')));
    t.ok(running.length > 0);
    t.strictSame(
      running.filter((lines) => !lines.some(isTitle)),
      [],
    );
    t.equal(screen.wraps, 0);
    for (const word of ['provider', 'stream', 'missing 0', 'OK: every acknowledged reading arrived, once.'])
      t.ok(
        [...seen].some((line) => line.includes(word)),
        word,
      );
  });
}
