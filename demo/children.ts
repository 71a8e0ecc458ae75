/** The processes of a demo: started, watched, killed by plan, and ended with the demo. */
import { type ChildProcess, fork } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../shared/clock.ts';
import { commandFile } from '../shared/program.ts';

const STOP_MS_MAX = 12_000;

export interface ChildOptions {
  name: string;
  /** Module to run; the `headgate` command when absent. */
  module?: string;
  args: string[];
  onMessage?: (message: unknown) => void;
}

/** One named process. Its stdout and stderr go to `<dir>/<name>.log`, appended over restarts. */
export class Child {
  readonly name: string;
  readonly #options: ChildOptions;
  readonly #dir: string;
  readonly #onUnexpectedExit: (name: string, how: string) => void;
  #process: ChildProcess | null = null;
  #ending: boolean = false;

  constructor(dir: string, options: ChildOptions, onUnexpectedExit: (name: string, how: string) => void) {
    this.name = options.name;
    this.#dir = dir;
    this.#options = options;
    this.#onUnexpectedExit = onUnexpectedExit;
  }

  get logFile(): string {
    return join(this.#dir, `${this.name}.log`);
  }

  start(): void {
    this.#ending = false;
    const log = openSync(this.logFile, 'a');
    const child = fork(this.#options.module ?? commandFile(), this.#options.args, {
      stdio: ['ignore', log, log, 'ipc'],
      execArgv: ['--max-semi-space-size=8'],
    });
    this.#process = child;
    child.on('message', (message) => this.#options.onMessage?.(message));
    child.on('exit', (code, signal) => {
      if (!this.#ending && code !== 0) this.#onUnexpectedExit(this.name, signal ?? `exit code ${code}`);
    });
  }

  /** SIGKILL, as a power cut would, then a new process. */
  async killAndRestart(): Promise<void> {
    await this.#end('SIGKILL');
    this.start();
  }

  /** SIGTERM, then SIGKILL for a process that does not end. */
  async stop(clock: Clock): Promise<void> {
    const ended = this.#end('SIGTERM');
    await Promise.race([ended, clock.sleep(STOP_MS_MAX)]);
    await this.#end('SIGKILL');
  }

  /** Kills the process at once, for the end of this one. */
  destroy(): void {
    this.#ending = true;
    this.#process?.kill('SIGKILL');
  }

  #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#ending = true;
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.kill(signal);
    });
  }
}
