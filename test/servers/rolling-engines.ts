/** The ledgers that routers share, for a rolling restart: each can be taken away and brought back. */
import { openJetStreamLedger } from '../../router/ledger/jetstream/engine.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { silent } from '../loopback/start-aws.ts';
import { natsCluster } from './nats-cluster.ts';
import { postgres } from './postgres.ts';

const NAME = 'rolling';
const OPEN_MS_MAX = 10_000;

export interface SharedEngine {
  /** `ledger` of router.yaml. */
  section: object;
  open(): Promise<Ledger>;
  /** Until `bringBack`, nothing can be committed. */
  takeAway(): Promise<void>;
  bringBack(): Promise<void>;
  remove(): Promise<void>;
}

export async function sharedPostgres(): Promise<SharedEngine> {
  const server = await postgres();
  await server.start();
  const { url } = server;
  return {
    section: { type: 'postgres', url, schema: NAME, timeout: '3s' },
    open: () =>
      openPostgresLedger({
        url,
        schema: NAME,
        connectionsMax: 2,
        timeoutMs: OPEN_MS_MAX,
        clock,
        log: silent,
      }),
    takeAway: () => server.kill(),
    bringBack: () => server.start(),
    remove: () => server.remove(),
  };
}

/** Of three servers, two have to be there. */
export async function sharedJetStream(): Promise<SharedEngine> {
  const { servers, kill, start, remove } = await natsCluster();
  const majority = [0, 1];
  return {
    section: { type: 'jetstream', servers, name: NAME, timeout: '3s' },
    open: () =>
      openJetStreamLedger({ servers, name: NAME, replicas: 3, timeoutMs: OPEN_MS_MAX, clock, log: silent }),
    async takeAway() {
      await Promise.all(majority.map(kill));
    },
    async bringBack() {
      await Promise.all(majority.map(start));
    },
    remove,
  };
}
