/** A real `headgate router` in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { BIN } from '../cli/run.ts';
import { until } from '../until.ts';
import { freePort } from './free-port.ts';

export interface RouterProcess {
  adminUrl: string;
  /** Undefined while it does not run. */
  pid(): number | undefined;
  /** Resolves when `/readyz` says so. */
  start(): Promise<void>;
  /** The status and the failing checks of `/readyz`; null when nobody answers. */
  readiness(): Promise<{ status: number; failing: Record<string, string> } | null>;
  /** SIGTERM; the exit code, or the signal that ended it. */
  stop(): Promise<number | string | null>;
  kill(): Promise<void>;
}

/** `config`: router.yaml without data_dir and admin. `env` is added to this process's own. */
export async function routerProcess(
  dir: string,
  config: object,
  env: NodeJS.ProcessEnv = {},
): Promise<RouterProcess> {
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  const file = join(dir, 'router.yaml');
  const log = { level: 'warn' };
  writeFileSync(file, stringify({ data_dir: join(dir, 'data'), log, admin: { port }, ...config }));
  let child: ChildProcess | null = null;
  const readiness: RouterProcess['readiness'] = async () => {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`, {
        signal: AbortSignal.timeout(15_000),
      });
      const { failing } = (await response.json()) as { failing: Record<string, string> };
      return { status: response.status, failing };
    } catch {
      // Not there, or not yet.
      return null;
    }
  };
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<number | string | null> => {
    const ending = child;
    child = null;
    if (!ending || ending.exitCode !== null) return ending?.exitCode ?? null;
    const exited = once(ending, 'exit');
    ending.kill(signal);
    const [code, signalled] = await exited;
    return code ?? signalled;
  };
  return {
    adminUrl: `http://127.0.0.1:${port}`,
    pid: () => child?.pid,
    readiness,
    async start() {
      const starting = spawn(process.execPath, [BIN, 'router', '--config', file], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, ...env },
      });
      child = starting;
      await until('the router is ready', async () => {
        if (starting.exitCode !== null) throw new Error(`the router ended with ${starting.exitCode}`);
        return (await readiness())?.status === 200;
      });
    },
    stop: () => end('SIGTERM'),
    async kill() {
      await end('SIGKILL');
    },
  };
}
