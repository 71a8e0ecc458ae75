/** A real `headgate agent` or `headgate router` in a process of its own, as an operator runs it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { BIN } from '../../cli/run.ts';
import { freePort } from '../../servers/free-port.ts';
import { until } from '../../until.ts';

const SAID_MAX = 2000;
const ASK_MS_MAX = 20_000;

/** Its admin server, and the token of its login. */
interface Admin {
  host: string;
  port: number;
  token?: string | undefined;
}

export class Program {
  readonly kind: 'agent' | 'router';
  readonly dir: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #port: number;
  readonly #host: string;
  readonly #login: Readonly<Record<string, string>>;
  #isStopping: boolean = false;

  private constructor(kind: 'agent' | 'router', dir: string, { host, port, token }: Admin) {
    this.kind = kind;
    this.dir = dir;
    this.#host = host;
    this.#port = port;
    this.#login = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const config = join(dir, `${kind}.yaml`);
    // The channel ends with this process, and the program with it.
    const stdio = ['ignore', 'pipe', 'pipe', 'ipc'] as const;
    this.#child = spawn(process.execPath, [BIN, kind, '--config', config], { stdio: [...stdio] });
    this.#closed = once(this.#child, 'close');
    for (const stream of ['stdout', 'stderr'] as const)
      this.#child[stream]?.pipe(createWriteStream(join(dir, `${kind}.${stream}`)));
  }

  /** `config` without data_dir and admin; resolves when `/healthz` answers. */
  static async start(
    kind: 'agent' | 'router',
    dir: string,
    config: Record<string, unknown>,
    { host = '127.0.0.1', token }: Partial<Omit<Admin, 'port'>> = {},
  ): Promise<Program> {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const port = await freePort();
    const admin = token === undefined ? { trusted_network: true } : { token };
    const all = { data_dir: join(dir, 'data'), admin: { host, port, ...admin }, ...config };
    writeFileSync(join(dir, `${kind}.yaml`), stringify(all), { mode: 0o600 });
    const program = new Program(kind, dir, { host, port, token });
    await until(`the ${kind} answers`, async () => {
      const ended = program.ended();
      if (ended !== null) throw new Error(`${ended}: ${program.#said()}`);
      return fetch(`${program.url}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      );
    });
    return program;
  }

  get url(): string {
    return `http://${this.#host}:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get configFile(): string {
    return join(this.dir, `${this.kind}.yaml`);
  }

  /** How it ended, when it should not have. */
  ended(): string | null {
    const { exitCode, signalCode } = this.#child;
    if (this.#isStopping || (exitCode === null && signalCode === null)) return null;
    return `the ${this.kind} ended: ${signalCode ?? `exit code ${exitCode}`}`;
  }

  /** A JSON answer of its admin server. */
  async ask<Answer>(path: string, init: RequestInit = {}): Promise<Answer> {
    const headers = { ...this.#login, ...init.headers };
    const signal = AbortSignal.timeout(ASK_MS_MAX);
    const answer = await fetch(`${this.url}${path}`, { signal, ...init, headers });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return JSON.parse(await answer.text());
  }

  /** The sum of a metric over all its labels that hold `labels`. */
  async metric(name: string, labels = ''): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.replace(/[ {].*/, '') === name);
    const chosen = lines.filter((line) => line.includes(labels));
    return chosen.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  /** Begins to measure the highest resident memory anew (proc_pid_clear_refs(5), 5). */
  forgetPeak(): number {
    writeFileSync(`/proc/${this.#child.pid}/clear_refs`, '5');
    return this.#memory('VmRSS');
  }

  /** Highest resident memory since then, in 2^20 bytes. */
  peak(): number {
    return this.#memory('VmHWM');
  }

  /** The end of what it printed. */
  #said(): string {
    const texts = ['stdout', 'stderr'].map((name) =>
      readFileSync(join(this.dir, `${this.kind}.${name}`), 'utf8'),
    );
    return texts.join(' ').slice(-SAID_MAX);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGTERM');
    await this.#closed;
  }

  #memory(field: string): number {
    const text = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Math.round(Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) / 1024);
  }
}
