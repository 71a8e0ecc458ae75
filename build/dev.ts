/**
 * `npm run dev`: loopback clouds, a router and an agent on one terminal, each line with its program's name. A
 * change of a source file or of a configuration restarts the affected programs; Ctrl-C ends all. The programs
 * are forks, so that they end when this process is killed; `node --watch` does not watch configurations, and
 * a runner of shell commands has no start order.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { type FSWatcher, mkdirSync, watch } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { styleText } from 'node:util';
import { systemClock, type Timer } from '../shared/clock.ts';
import { stopSignal } from '../shared/process.ts';
import { commandFile } from '../shared/program.ts';
import { readScript } from '../test/script.ts';

/** An editor writes a file in several steps: one restart covers all of them. */
const SETTLE_MS = 200;
/** A program that has not ended after this time is killed; its own limit is ten seconds. */
const STOP_MS_MAX = 12_000;
const COLOURS = { clouds: 'cyan', router: 'green', agent: 'yellow', dev: 'magenta' } as const;

type Name = keyof typeof COLOURS;

function say(name: Name, line: string): void {
  process.stdout.write(
    `${styleText(COLOURS[name], `[${name}]`.padEnd(9), { stream: process.stdout })}${line}\n`,
  );
}

/** One program with its starts, restarts and stop. */
class Program {
  readonly #name: Name;
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;
  #isOver: boolean = false;
  /** Serialises the starts and stops. */
  #last: Promise<void> = Promise.resolve();

  constructor(name: Name, args: readonly string[]) {
    this.#name = name;
    this.#args = args;
  }

  /**
   * Stops the running process, if any, and starts a new one. Resolves with its first line, or when it ended.
   */
  async restart(): Promise<void> {
    let speaks: Promise<void> | null = null;
    await this.#then(async () => {
      await this.#end();
      if (!this.#isOver) speaks = this.#start();
    });
    await speaks;
  }

  /** Stops the program for good. */
  stop(): Promise<void> {
    this.#isOver = true;
    return this.#then(() => this.#end());
  }

  #then(step: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(step);
    return this.#last;
  }

  #start(): Promise<void> {
    const child = fork(commandFile(), [...this.#args], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.#child = child;
    say('dev', `${this.#name} starts (process ${child.pid})`);
    return new Promise((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        if (stream === null) continue;
        createInterface({ input: stream }).on('line', (line) => {
          say(this.#name, line);
          resolve();
        });
      }
      child.once('exit', (code, signal) => {
        if (this.#child === child) {
          this.#child = null;
          say('dev', `${this.#name} ended (${signal ?? `exit code ${code}`}); a change starts it again`);
        }
        resolve();
      });
    });
  }

  async #end(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const late = systemClock.setTimer(STOP_MS_MAX, () => child.kill('SIGKILL'));
    await ended;
    late.cancel();
  }
}

const flags = readScript(
  {
    command: 'npm run dev',
    does: 'Loopback clouds, a router and an agent on one terminal; restarts the affected programs after a change.',
    options: {
      dir: { takes: 'folder', default: 'try', is: 'folder of the configurations and all data' },
      'control-port': { takes: 'port', default: '9466', is: 'port of the control API; 0 takes a free one' },
    },
    example: '--dir /tmp/try',
  },
  (values) => values,
);
const root = resolve(import.meta.dirname, '..');
const dir = resolve(flags.dir);
mkdirSync(dir, { recursive: true });

const clouds = new Program('clouds', ['clouds', '--dir', dir, '--control-port', flags['control-port']]);
const router = new Program('router', ['router', '--config', join(dir, 'router.yaml')]);
const agent = new Program('agent', ['agent', '--config', join(dir, 'agent.yaml')]);

type Scope = 'all' | 'agent' | 'router';

/**
 * New clouds have new addresses and certificates, and write them to the configurations, so the others start
 * after them.
 */
async function restart(scopes: ReadonlySet<Scope>): Promise<void> {
  if (scopes.has('all')) await clouds.restart();
  await Promise.all([
    ...(scopes.has('all') || scopes.has('router') ? [router.restart()] : []),
    ...(scopes.has('all') || scopes.has('agent') ? [agent.restart()] : []),
  ]);
}

/** Changes since the last restart. Changes during a restart wait for its end and cause one more. */
const changed = new Set<Scope>();
let settling: Timer | null = null;
let restarting: boolean = true;

function onChange(file: string, scope: Scope): void {
  say('dev', `${file} changed`);
  changed.add(scope);
  settling?.cancel();
  settling = systemClock.setTimer(SETTLE_MS, () => void restartChanged());
}

async function restartChanged(): Promise<void> {
  if (restarting || changed.size === 0) return;
  restarting = true;
  const scopes = new Set(changed);
  changed.clear();
  await restart(scopes);
  restarting = false;
  await restartChanged();
}

/** Folder → the programs that restart on a change in it. */
const SOURCES: Readonly<Record<string, Scope>> = {
  shared: 'all',
  cli: 'all',
  loopback: 'all',
  agent: 'agent',
  router: 'router',
};

function watchAll(): FSWatcher[] {
  const sources = Object.entries(SOURCES).map(([folder, scope]) =>
    watch(join(root, folder), { recursive: true }, (_event, file) =>
      onChange(join(folder, file ?? ''), scope),
    ),
  );
  // Watches the two files only: the programs write to subfolders.
  const configurations = watch(dir, (_event, file) => {
    if (restarting) return; // the clouds write them
    if (file === 'agent.yaml') onChange(file, 'agent');
    if (file === 'router.yaml') onChange(file, 'router');
  });
  return [...sources, configurations];
}

const stopped = stopSignal();
const watchers = watchAll();
void restart(new Set(['all'])).then(() => {
  restarting = false;
  say('dev', 'all run; a change restarts the affected programs, Ctrl-C ends all');
  return restartChanged();
});
const signal = await stopped;
say('dev', `${signal}: ending`);
for (const watcher of watchers) watcher.close();
await Promise.all([clouds, router, agent].map((program) => program.stop()));
