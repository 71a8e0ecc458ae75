/**
 * The programs of the broker benches: a load generator and a slow disk, compiled on demand, and the brokers.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
export const HEADGATE = join(REPOSITORY, 'bin', 'headgate.js');
export const NODE_FLAGS = ['--max-semi-space-size=8'];
const MOSQUITTO = '/usr/sbin/mosquitto';
const READY_TRIES = 200;
const UNREACHABLE = { name: 'nowhere', type: 'mqtt', region: 'us-east-1', url: 'mqtt://127.0.0.1:9' };

/** The measurements of one run of the load generator. */
export interface Load {
  acked: number;
  seconds: number;
  msg_s: number;
  p50_ms: number;
  p95_ms: number;
  p99_ms: number;
  max_ms: number;
  cpu_seconds: number;
}

export interface LoadShape {
  clients: number;
  window: number;
  payloadBytes: number;
  messages: number;
  /** Messages per second over all clients; 0: as fast as the windows allow. */
  rate: number;
  /** First level of the topics. */
  site?: string;
}

interface AgentExtras {
  providers?: readonly object[];
  bin?: string;
  /** The `log` section of agent.yaml. */
  log?: object;
  /** Called with each line of the agent's log. */
  onLine?: (line: string) => void;
}

/** A folder for one bench, and all programs started in it. */
export class Workshop {
  readonly folder = mkdtempSync(join(tmpdir(), 'headgate-bench-'));
  readonly #children: ChildProcess[] = [];

  /** Compiles a program, or a preloaded library, of this folder. */
  compile(source: string, flags: readonly string[] = []): string {
    const target = join(this.folder, source.replace('.c', flags.includes('-shared') ? '.so' : ''));
    try {
      execFileSync('cc', ['-O2', ...flags, '-o', target, join(HERE, source), '-ldl'], { stdio: 'pipe' });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`no C compiler, or it failed: apt-get install gcc libc6-dev (${why})`);
    }
    return target;
  }

  /** Starts a broker that must listen on the port within ten seconds. */
  async start(
    command: string,
    args: readonly string[],
    port: number,
    env: NodeJS.ProcessEnv = {},
    onLine?: (line: string) => void,
  ): Promise<ChildProcess> {
    const child = spawn(command, args, {
      stdio: ['ignore', onLine ? 'pipe' : 'ignore', 'inherit'],
      // Like systemd/headgate-agent.service.
      env: { ...process.env, MALLOC_ARENA_MAX: '2', ...env },
    });
    this.#children.push(child);
    if (onLine && child.stdout) createInterface({ input: child.stdout }).on('line', onLine);
    for (let tries = 0; tries < READY_TRIES; tries++) {
      if (await listens(port)) return child;
      await pause(50);
    }
    throw new Error(`${command} does not listen on port ${port}`);
  }

  node(
    args: readonly string[],
    port: number,
    env?: NodeJS.ProcessEnv,
    onLine?: (line: string) => void,
  ): Promise<ChildProcess> {
    return this.start(process.execPath, [...NODE_FLAGS, ...args], port, env, onLine);
  }

  /**
   * The bundled package in its own folder, as `npm pack` ships it: without type stripping, which would use
   * memory.
   */
  async installed(): Promise<string> {
    const dir = join(this.folder, 'package');
    const build = [join(REPOSITORY, 'build', 'bundle.ts'), '--out-dir', join(dir, 'dist')];
    await promisify(execFile)(process.execPath, build);
    for (const part of ['bin', 'package.json'])
      cpSync(join(REPOSITORY, part), join(dir, part), { recursive: true });
    symlinkSync(join(REPOSITORY, 'node_modules'), join(dir, 'node_modules'));
    return join(dir, 'bin', 'headgate.js');
  }

  /** A real agent. Its default provider is unreachable, so all records stay in its buffer. */
  async agent(
    name: string,
    policy: object,
    port: number,
    env?: NodeJS.ProcessEnv,
    { providers = [UNREACHABLE], bin = HEADGATE, log = { level: 'error' }, onLine }: AgentExtras = {},
  ): Promise<ChildProcess> {
    const config = {
      gateway: 'bench',
      data_dir: join(this.folder, name),
      log,
      admin: { host: '127.0.0.1', port: await freePort() },
      broker: {
        allow_anonymous: true,
        max_connect_rate: 0,
        max_connect_rate_per_address: 0,
        max_publish_rate: 0,
        max_publish_bytes: '0B',
        listeners: [{ type: 'tcp', host: '127.0.0.1', port }],
      },
      providers,
      policy,
    };
    const file = join(this.folder, `${name}.yaml`);
    writeFileSync(file, JSON.stringify(config));
    return this.node([bin, 'agent', '--config', file], port, env, onLine);
  }

  /** Debian's mosquitto without persistence. */
  mosquitto(port: number): Promise<ChildProcess> {
    if (!existsSync(MOSQUITTO)) throw new Error('no mosquitto: apt-get install mosquitto');
    return this.#mosquitto(MOSQUITTO, port, ['persistence false']);
  }

  /**
   * A mosquitto 2.1 built in `build`, with its SQLite persistence at its strictest. It stores only messages
   * for known clients, so a client subscribes to everything and disconnects.
   */
  async mosquittoSqlite(build: string, port: number): Promise<ChildProcess> {
    const plugin = join(build, 'plugins/persist-sqlite/mosquitto_persist_sqlite.so');
    const child = await this.#mosquitto(join(build, 'src/mosquitto'), port, [
      'persistence false',
      // Started by root, it would switch to another user without write access.
      `user ${userInfo().username}`,
      `persistence_location ${this.folder}`,
      `plugin ${plugin}`,
      'plugin_opt_sync full',
      'plugin_opt_flush_period 0',
      'max_queued_messages 0',
    ]);
    const reader = await connectAsync(`mqtt://127.0.0.1:${port}`, {
      clientId: 'reader',
      clean: false,
      reconnectPeriod: 0,
    });
    await reader.subscribeAsync('#', { qos: 1 });
    await reader.endAsync();
    return child;
  }

  #mosquitto(bin: string, port: number, lines: readonly string[]): Promise<ChildProcess> {
    const file = join(this.folder, `mosquitto-${port}.conf`);
    const all = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'max_inflight_messages 0',
      'log_type error',
      ...lines,
    ];
    writeFileSync(file, all.map((line) => `${line}\n`).join(''));
    return this.start(bin, ['-c', file], port);
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Runs the load generator once. */
export async function load(program: string, port: number, shape: LoadShape): Promise<Load> {
  const { clients, window, payloadBytes, messages, rate, site = 'plant' } = shape;
  const args = [port, clients, window, payloadBytes, messages, rate, site].map(String);
  const { stdout } = await promisify(execFile)(program, args);
  return JSON.parse(stdout);
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => socket.end(() => resolve(true)));
    socket.once('error', () => resolve(false));
  });
}
