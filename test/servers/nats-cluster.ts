/**
 * A real NATS cluster of three servers with JetStream, on free ports, with its data in a temporary folder.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { until } from '../until.ts';

const PROGRAM = '/usr/sbin/nats-server';
const NODES = 3;

export interface NatsCluster {
  /** `nats://127.0.0.1:port` of each node. */
  servers: string[];
  /** Which node leads the stream; -1 while none does. */
  leaderOf(stream: string): Promise<number>;
  start(node: number): Promise<void>;
  /** SIGKILL. */
  kill(node: number): Promise<void>;
  /** Ends all nodes and removes their data. */
  remove(): Promise<void>;
}

/**
 * Starts the cluster. Throws, with how to install it, where there is no nats-server: these suites do not
 * skip.
 */
export async function natsCluster(): Promise<NatsCluster> {
  if (!existsSync(PROGRAM)) throw new Error('nats-server is not installed: apt-get install nats-server');
  const dir = mkdtempSync(join(tmpdir(), 'headgate-nats-'));
  const ports = await freePorts(2 * NODES);
  const clients = ports.slice(0, NODES);
  const routes = ports.slice(NODES);
  for (let node = 0; node < NODES; node += 1) {
    const data = join(dir, `data-${node}`);
    mkdirSync(data);
    writeFileSync(
      join(dir, `${node}.conf`),
      `server_name: "node-${node}"
listen: "127.0.0.1:${clients[node]}"
jetstream { store_dir: "${data}" }
cluster {
  name: headgate
  listen: "127.0.0.1:${routes[node]}"
  routes: [${routes.map((port) => `"nats://127.0.0.1:${port}"`).join(', ')}]
}
`,
    );
  }
  const servers = clients.map((port) => `nats://127.0.0.1:${port}`);
  const children: (ChildProcess | null)[] = [];
  const end = async (node: number): Promise<void> => {
    const child = children[node];
    children[node] = null;
    if (!child || child.exitCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
  };
  const start = (node: number): Promise<void> => {
    children[node] = spawn(PROGRAM, ['-c', join(dir, `${node}.conf`)], { stdio: 'ignore' });
    return untilReady(servers[node] ?? '');
  };
  const remove = async (): Promise<void> => {
    await Promise.all(servers.map((_, node) => end(node)));
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await Promise.all(servers.map((_, node) => start(node)));
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    servers,
    start,
    kill: end,
    remove,
    async leaderOf(stream) {
      const nc = await connect({ servers });
      try {
        const { cluster } = await (await jetstreamManager(nc)).streams.info(stream);
        return Number(cluster?.leader?.replace('node-', '') ?? -1);
      } finally {
        await nc.close();
      }
    },
  };
}

/** Until the cluster has a leader that answers through this server. */
async function untilReady(server: string): Promise<void> {
  await until('the cluster has a leader', async () => {
    try {
      const nc = await connect({ servers: server, reconnect: false, timeout: 10_000 });
      try {
        const jsm = await jetstreamManager(nc, { timeout: 1000 });
        await jsm.streams.names().next();
        return true;
      } finally {
        await nc.close();
      }
    } catch {
      return false;
    }
  });
}

/** Held until all are found, so that none comes twice. */
async function freePorts(count: number): Promise<number[]> {
  const listening = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  return Promise.all(
    listening.map(async (server) => {
      const address = server.address();
      await new Promise((resolve) => server.close(resolve));
      if (typeof address !== 'object' || !address) throw new Error('no port');
      return address.port;
    }),
  );
}
