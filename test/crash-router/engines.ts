/** The servers under the replicas, started on free ports, and how one of them is lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type RouterConfig, routerConfigSchema } from '../../router/config.ts';
import { natsCluster } from '../servers/nats-cluster.ts';
import { postgres } from '../servers/postgres.ts';

export const ENGINES = ['postgres', 'jetstream'] as const;
export type EngineName = (typeof ENGINES)[number];

export interface Servers {
  /** `ledger` of the router's configuration, as it was read. */
  ledgerConfig: RouterConfig['ledger'];
  /** The section as router.yaml has it. */
  ledgerSection: object;
  /**
   * Kills the PostgreSQL server, or the JetStream server that leads the log of commits; resolves once it is
   * back.
   */
  strike(): Promise<void>;
  remove(): Promise<void>;
}

const NODE_AWAY_MS = 4000;
const NAME = 'crash';

export function startServers(engine: EngineName): Promise<Servers> {
  return engine === 'postgres' ? startPostgres() : startJetStream();
}

async function startPostgres(): Promise<Servers> {
  const server = await postgres();
  await server.start();
  const ledgerSection = { type: 'postgres', url: server.url, schema: NAME };
  return {
    ledgerConfig: read(ledgerSection),
    ledgerSection,
    async strike() {
      await server.kill();
      await server.start();
    },
    remove: () => server.remove(),
  };
}

async function startJetStream(): Promise<Servers> {
  const cluster = await natsCluster();
  const ledgerSection = { type: 'jetstream', servers: cluster.servers, name: NAME };
  return {
    ledgerConfig: read(ledgerSection),
    ledgerSection,
    async strike() {
      const leader = Math.max(0, await cluster.leaderOf(`${NAME}-commits`));
      await cluster.kill(leader);
      await sleep(NODE_AWAY_MS);
      await cluster.start(leader);
    },
    remove: () => cluster.remove(),
  };
}

/**
 * Here, because the schema loads every cloud's library, and a replica that lives for seconds has better to
 * do.
 */
function read(ledger: object): RouterConfig['ledger'] {
  return routerConfigSchema.shape.ledger.parse(ledger);
}
