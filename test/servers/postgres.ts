/** A real PostgreSQL on a free port, with its data in a temporary folder. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { until } from '../until.ts';
import { freePort } from './free-port.ts';

const PACKAGED = '/usr/lib/postgresql';
const USER = 'headgate';

export interface PostgresServer {
  url: string;
  start(): Promise<void>;
  /** As a crash: SIGKILL of the server's first process; its children end by themselves. */
  kill(): Promise<void>;
  /** Ends it and removes its data. */
  remove(): Promise<void>;
}

/** Throws, with how to install it, where there is no PostgreSQL: these suites do not skip. */
export async function postgres(): Promise<PostgresServer> {
  const bin = binaries();
  const dir = mkdtempSync(join(tmpdir(), 'headgate-postgres-'));
  const data = join(dir, 'data');
  // PostgreSQL refuses to run as root.
  const identity = process.getuid?.() === 0 ? userIds('postgres') : undefined;
  if (identity) chownSync(dir, identity.uid, identity.gid);
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--locale', 'C.UTF-8', '-N'],
    { ...identity, cwd: dir, stdio: 'ignore' },
  );
  const port = await freePort();
  const url = `postgres://${USER}@127.0.0.1:${port}/postgres`;
  const settings = ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', '', '-c', 'max_connections=60'];
  let child: ChildProcess | null = null;
  const end = async (signal: 'SIGKILL' | 'SIGQUIT'): Promise<void> => {
    const ending = child;
    child = null;
    if (!ending || ending.exitCode !== null) return;
    const exited = new Promise((resolve) => ending.once('exit', resolve));
    ending.kill(signal);
    await exited;
  };
  return {
    url,
    async start() {
      await until('PostgreSQL answers', () => {
        // After a SIGKILL the old children hold the data folder for a moment: the server then refuses to
        // start.
        if (child === null || child.exitCode !== null) {
          child = spawn(join(bin, 'postgres'), settings, { ...identity, cwd: dir, stdio: 'ignore' });
        }
        return answers(url);
      });
    },
    kill: () => end('SIGKILL'),
    async remove() {
      await end('SIGQUIT');
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function binaries(): string {
  const versions = existsSync(PACKAGED) ? readdirSync(PACKAGED).map(Number) : [];
  const bin = join(PACKAGED, String(Math.max(0, ...versions)), 'bin');
  if (!existsSync(join(bin, 'postgres'))) {
    throw new Error('PostgreSQL is not installed: apt-get install postgresql');
  }
  return bin;
}

function userIds(name: string): { uid: number; gid: number } {
  const id = (flag: string): number => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
