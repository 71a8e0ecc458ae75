/** A real nats-server on a free port, with JetStream, in a folder of the test's own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { until } from '../until.ts';
import { freePort } from './free-port.ts';

const BINARY = ['/usr/sbin/nats-server', '/usr/local/bin/nats-server', '/usr/bin/nats-server'].find((path) =>
  existsSync(path),
);

export const LOGIN = { username: 'headgate', password: 'loopback-only' };

export interface NatsServer {
  port: number;
  start(): Promise<void>;
  /** As a crash: SIGKILL. */
  kill(): Promise<void>;
}

/**
 * Throws, with how to install it, where there is no nats-server: these suites do not skip. `ca`: it speaks
 * TLS, with the folder's cert.pem and key.pem, which this authority signed. Publishing to `forbidden.>` is
 * not allowed.
 */
export async function natsServer(dir: string, ca: string | null = null): Promise<NatsServer> {
  if (BINARY === undefined) throw new Error('nats-server is not installed: apt-get install nats-server');
  const binary = BINARY;
  const port = await freePort();
  const config = join(dir, 'nats.conf');
  const encryption = `tls { cert_file: "${join(dir, 'cert.pem')}", key_file: "${join(dir, 'key.pem')}" }`;
  writeFileSync(
    config,
    `listen: "127.0.0.1:${port}"
     jetstream { store_dir: "${join(dir, 'jetstream')}" }
     authorization { users: [{
       user: "${LOGIN.username}", password: "${LOGIN.password}", permissions: { publish: { deny: "forbidden.>" } }
     }] }
     ${ca === null ? '' : encryption}`,
  );
  let child: ChildProcess | null = null;
  return {
    port,
    async start() {
      child = spawn(binary, ['-c', config], { stdio: 'ignore' });
      await untilItAnswers(port, ca);
    },
    async kill() {
      const ending = child;
      child = null;
      if (!ending || ending.exitCode !== null) return;
      const exited = new Promise((resolve) => ending.once('exit', resolve));
      ending.kill('SIGKILL');
      await exited;
    },
  };
}

/** For a client of the test's own. */
export function clientOptions(port: number): { port: number; user: string; pass: string } {
  return { port, user: LOGIN.username, pass: LOGIN.password };
}

async function untilItAnswers(port: number, ca: string | null): Promise<void> {
  await until('nats-server answers', async () => {
    try {
      const client = await connect({
        ...clientOptions(port),
        reconnect: false,
        timeout: 10_000,
        ...(ca && { tls: { ca } }),
      });
      await client.close();
      return true;
    } catch {
      return false;
    }
  });
}
