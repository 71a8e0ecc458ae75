/** The agent as an operator runs it, in one folder over many lives; none of its providers can be reached. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Clock } from '../../shared/clock.ts';

const BIN = fileURLToPath(new URL('../../bin/headgate.js', import.meta.url));
/** As the systemd unit has it. */
const NODE_FLAGS = ['--max-semi-space-size=8'];
/** Only a hanging agent gets here: no machine is that busy. */
const READY_MS_MAX = 300_000;

export interface AgentFolder {
  dir: string;
  /** No program listens on the last two ports: everything stays in the buffer. */
  ports: { broker: number; admin: number; providers: readonly [number, number] };
}

interface AgentProcessOptions {
  onLine?: (line: string) => void;
  env?: NodeJS.ProcessEnv;
}

/** One life of the agent. Its log is added to `agent.log` of the folder. */
export class AgentProcess {
  /**
   * Milliseconds from spawn to the log line that says all its parts have started; null when it ended before.
   */
  readonly #ready: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #logFile: string;
  readonly #onLine: (line: string) => void;
  #epoch: string | null = null;

  /**
   * `onLine` is told each line of its log, and what it says beside its log; `env` is added to this process's
   * own.
   */
  constructor(
    { dir }: Pick<AgentFolder, 'dir'>,
    clock: Clock,
    { onLine = () => undefined, env: added = {} }: AgentProcessOptions = {},
  ) {
    this.#onLine = onLine;
    const spawnedMs = clock.monoMs();
    this.#child = spawn(process.execPath, [...NODE_FLAGS, BIN, 'agent', '--config', configFile(dir)], {
      // The channel ends with this process, and the agent with it.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...added },
    });
    this.#ended = once(this.#child, 'close');
    this.#logFile = join(dir, 'agent.log');
    this.#ready = this.#readLog(clock, spawnedMs);
  }

  /** The epoch that it began, by its log; null when it ended before. */
  get epoch(): string | null {
    return this.#epoch;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Resolves with how it ended, when it does. */
  async untilEnded(): Promise<string> {
    await this.#ended;
    const { signalCode, exitCode } = this.#child;
    return signalCode ?? `exit code ${exitCode}`;
  }

  /** SIGKILL; resolves when the process is gone and its log is read. Rejects when it had ended by itself. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    const { signalCode, exitCode } = this.#child;
    if (signalCode !== 'SIGKILL')
      throw new Error(`the agent ended by itself (${signalCode ?? exitCode}); see ${this.#logFile}`);
  }

  /** Rejects when it ends by itself or is not ready in time: then its log says why. */
  async untilReady(): Promise<number> {
    const late = AbortSignal.timeout(READY_MS_MAX);
    const startupMs = await Promise.race([this.#ready, once(late, 'abort').then(() => null)]);
    if (startupMs === null) throw new Error(`the agent did not become ready; see ${this.#logFile}`);
    return startupMs;
  }

  #readLog(clock: Clock, spawnedMs: number): Promise<number | null> {
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error('spawned without pipes');
    stderr.on('data', (chunk: Buffer) => {
      appendFileSync(this.#logFile, chunk);
      this.#onLine(chunk.toString());
    });
    const lines = createInterface({ input: stdout });
    return new Promise((resolve) => {
      lines.on('line', (line) => {
        appendFileSync(this.#logFile, `${line}\n`);
        this.#onLine(line);
        if (line.includes('"store.opened"')) this.#epoch = epochIn(line);
        if (line.includes('"process.ready"')) resolve(clock.monoMs() - spawnedMs);
      });
      lines.on('close', () => resolve(null));
    });
  }
}

/** The buffer's file of an agent in this folder. */
export function bufferFileIn(dir: string): string {
  return join(dir, 'data', 'buffer.db');
}

export function writeConfig({ dir, ports }: AgentFolder): void {
  const config = {
    gateway: 'crash-1',
    data_dir: join(dir, 'data'),
    log: { level: 'info', levels: { cloud: 'error', forward: 'error', routing: 'error' } },
    admin: { host: '127.0.0.1', port: ports.admin },
    broker: {
      allow_anonymous: true,
      max_publish_rate: 0,
      max_publish_bytes: '0B',
      listeners: [{ type: 'tcp', host: '127.0.0.1', port: ports.broker }],
    },
    providers: ports.providers.map((port, i) => ({
      name: `unreachable-${i}`,
      type: 'mqtt',
      url: `mqtt://127.0.0.1:${port}`,
    })),
    policy: {
      version: 1,
      streams: {
        alarms: { topics: ['plant/+/alarm'], redundancy: 2 },
        telemetry: { topics: ['#'] },
      },
    },
  };
  writeFileSync(configFile(dir), stringify(config));
}

export function configFile(dir: string): string {
  return join(dir, 'agent.yaml');
}

function epochIn(line: string): string | null {
  const { epoch }: { epoch?: unknown } = JSON.parse(line);
  return typeof epoch === 'string' ? epoch : null;
}
