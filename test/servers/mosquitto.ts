/** A real mosquitto on a free port, with a login and persistence, in a folder of the test's own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { until } from '../until.ts';
import { freePort } from './free-port.ts';

const BINARY = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto'].find((path) => existsSync(path));

export const USERNAME = 'headgate';
export const PASSWORD = 'loopback-only';

export interface Mosquitto {
  port: number;
  start(): Promise<void>;
  /** As a crash: SIGKILL. */
  kill(): Promise<void>;
  /** SIGTERM: it saves its sessions. */
  stop(): Promise<void>;
}

/** Throws, with how to install it, where there is no mosquitto: these suites do not skip. */
export async function mosquitto(
  dir: string,
  { anonymous = false, settings = [] as readonly string[] } = {},
): Promise<Mosquitto> {
  if (BINARY === undefined) throw new Error('mosquitto is not installed: apt-get install mosquitto');
  const binary = BINARY;
  const port = await freePort();
  const passwords = join(dir, 'passwords');
  execFileSync('mosquitto_passwd', ['-b', '-c', passwords, USERNAME, PASSWORD], { stdio: 'ignore' });
  const config = join(dir, 'mosquitto.conf');
  writeFileSync(
    config,
    [
      `listener ${port} 127.0.0.1`,
      ...(anonymous ? ['allow_anonymous true'] : ['allow_anonymous false', `password_file ${passwords}`]),
      'persistence true',
      `persistence_location ${dir}/`,
      'max_queued_messages 0',
      ...settings,
      ...(process.getuid?.() === 0 ? ['user root'] : []),
    ].join('\n'),
  );
  let child: ChildProcess | null = null;
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    const ending = child;
    child = null;
    if (!ending || ending.exitCode !== null) return;
    const exited = new Promise((resolve) => ending.once('exit', resolve));
    ending.kill(signal);
    await exited;
  };
  return {
    port,
    async start() {
      child = spawn(binary, ['-c', config], { stdio: 'ignore' });
      await untilItAnswers(port);
    },
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  };
}

async function untilItAnswers(port: number): Promise<void> {
  const options = { username: USERNAME, password: PASSWORD, reconnectPeriod: 0, connectTimeout: 1000 };
  await until('mosquitto answers', async () => {
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, options, false).catch(() => null);
    await client?.endAsync();
    return client !== null;
  });
}
