/** Debian's PgBouncer before a PostgreSQL of the suite, as it is configured when nobody changes anything. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { until } from '../until.ts';
import { freePort } from './free-port.ts';

const BINARY = '/usr/sbin/pgbouncer';

export type PoolMode = 'session' | 'transaction';

export interface Pooler {
  /** As that of the server, through the pooler. */
  url: string;
  stop(): Promise<void>;
}

/** `dir`: of the test's own. Throws, with how to install it, where there is no PgBouncer. */
export async function pgbouncer(dir: string, serverUrl: string, mode: PoolMode): Promise<Pooler> {
  if (!existsSync(BINARY)) throw new Error('PgBouncer is not installed: apt-get install pgbouncer');
  const server = new URL(serverUrl);
  const port = await freePort();
  const config = join(dir, `${mode}.ini`);
  writeFileSync(
    config,
    `[databases]
* = host=${server.hostname} port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(dir, 'users.txt')}
pool_mode = ${mode}
default_pool_size = ${mode === 'transaction' ? 3 : 20}
`,
  );
  writeFileSync(join(dir, 'users.txt'), `"${server.username}" ""\n`);
  chmodSync(dir, 0o755);
  // PgBouncer refuses to run as root.
  const identity = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {};
  const child = spawn(BINARY, ['-q', config], { ...identity, cwd: dir, stdio: 'ignore' });
  const url = serverUrl.replace(`:${server.port}`, `:${port}`);
  await until('PgBouncer answers', () => answers(url, child));
  return {
    url,
    async stop() {
      if (child.exitCode !== null) return;
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function answers(url: string, child: ChildProcess): Promise<boolean> {
  if (child.exitCode !== null) throw new Error(`PgBouncer ended with ${child.exitCode}`);
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    // Not yet.
    return false;
  }
}

function idOf(flag: string): number {
  return Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
}
