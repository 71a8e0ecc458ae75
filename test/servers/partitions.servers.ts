/** Routers that share the partitions of an event hub through one ledger, in PostgreSQL and in JetStream. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { ownedBy, parseShares, type Shares } from '../../router/sources/event-hubs/shares.ts';
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import { attempt } from '../attempt.ts';
import { openPublisher, startAzure } from '../loopback/azure-fixture.ts';
import { envelope, seqs } from '../router/ledger/envelopes.ts';
import { until } from '../until.ts';
import { SERVERS_VARIABLE } from './jetstream-engine.ts';
import { natsCluster } from './nats-cluster.ts';
import {
  openPartitionReader,
  openShared,
  type PartitionReader,
  type SharedEngineName,
} from './partition-reader.ts';
import { postgres } from './postgres.ts';
import { URL_VARIABLE } from './postgres-engine.ts';

const READER = fileURLToPath(new URL('./partition-reader.ts', import.meta.url));
const LEASE_MS = 2000;
/** Enough to have some in each partition of the loopback hub. */
const GATEWAYS = ['gw-1', 'gw-2', 'gw-3', 'gw-4'];

const server = await postgres();
t.teardown(() => server.remove());
await server.start();
process.env[URL_VARIABLE] = server.url;
const cluster = await natsCluster();
t.teardown(() => cluster.remove());
process.env[SERVERS_VARIABLE] = cluster.servers.join(' ');
const ENGINES: readonly SharedEngineName[] = ['postgres', 'jetstream'];

async function sharesIn(ledger: Ledger): Promise<Shares> {
  return parseShares(await ledger.loadCheckpoint('azure', 'headgate/$Default'));
}

/** By router, how many partitions it has. */
async function parts(ledger: Ledger): Promise<number[]> {
  const shares = await sharesIn(ledger);
  return Object.keys(shares.routers).map((router) => ownedBy(shares, router).length);
}

async function world(t: Test, engine: SharedEngineName, place: string) {
  const ledger = await openShared(engine, place);
  t.teardown(() => ledger.close());
  const { cloud } = await startAzure(t);
  const publishers = await Promise.all(
    GATEWAYS.map((gateway) => openPublisher(t, cloud.agentConfig(gateway))),
  );
  const publish = async (first: number, last: number): Promise<void> => {
    for (const seq of seqs(first, last)) {
      const sent = GATEWAYS.map((gateway, i) => {
        const bytes = encodeEnvelope(envelope({ gateway, seqs: [seq] }));
        const properties = { hg: '1', gw: gateway, ep: '1-aa', st: 'telemetry' };
        return publishers[i]?.publish({ gateway, stream: 'telemetry', bytes, properties }, attempt(8000));
      });
      for (const outcome of await Promise.all(sent)) t.equal(outcome?.kind, 'accepted');
    }
  };
  const config = cloud.routerConfig();
  const read = async (): Promise<PartitionReader> => {
    const reader = await openPartitionReader(engine, place, config, LEASE_MS);
    t.teardown(() => reader.stop());
    return reader;
  };
  const arrived = (last: number) => async (): Promise<boolean> =>
    (await ledger.totals()).records === GATEWAYS.length * last;
  return { ledger, config, publish, read, arrived };
}

for (const engine of ENGINES) {
  await t.test(
    `${engine}: each partition is read by one; a router that is killed leaves its own to the other (I5)`,
    async (t) => {
      const { ledger, config, publish, read, arrived } = await world(t, engine, 'killed');
      const child = spawn(
        process.execPath,
        [READER, engine, 'killed', JSON.stringify(config), String(LEASE_MS)],
        {
          stdio: 'inherit',
        },
      );
      t.teardown(() => child.kill('SIGKILL'));
      await publish(1, 5);
      await until('the first router reads all', arrived(5));
      t.same(await parts(ledger), [2]);

      const second = await read();
      await until('an even share', async () => (await parts(ledger)).join() === '1,1');
      // The first one's turn comes, and it stops reading what was taken from it before its next.
      const turnsNow = (await sharesIn(ledger)).routers;
      await until('two turns of each', async () =>
        Object.entries((await sharesIn(ledger)).routers).every(
          ([router, taken]) => taken >= (turnsNow[router] ?? 0) + 2,
        ),
      );
      const { duplicates } = await ledger.totals();
      const before = second.source.state().received;
      await publish(6, 25);
      await until('both together read all', arrived(25));
      t.equal((await ledger.totals()).duplicates, duplicates, 'nothing is read twice');
      const own = second.source.state().received - before;
      t.ok(own > 0 && own < 20 * GATEWAYS.length, `${own} of ${20 * GATEWAYS.length} by the second`);

      const publishing = publish(26, 60);
      await until('the middle of it', async () => (await ledger.totals()).records > 35 * GATEWAYS.length);
      child.kill('SIGKILL');
      await once(child, 'close');
      await publishing;
      await until('the second reads all', arrived(60));
      t.same(await parts(ledger), [2]);
      const streams = await ledger.completeness();
      t.equal(streams.length, GATEWAYS.length);
      for (const stream of streams)
        t.match(stream, { completeTo: 60, missingCount: 0, records: 60, conflicts: 0 });
      t.match(await ledger.verify(), { records: 60 * GATEWAYS.length, problemCount: 0 });
    },
  );

  await t.test(
    `${engine}: a router that stops hands its partitions over with their places, and nothing is read twice`,
    async (t) => {
      const { ledger, publish, read, arrived } = await world(t, engine, 'handover');
      const first = await read();
      await publish(1, 5);
      await until('the first router reads all', arrived(5));
      await first.stop();
      const second = await read();
      await publish(6, 8);
      await until('the second reads the rest', arrived(8));
      t.equal(second.source.state().received, 3 * GATEWAYS.length);
      t.equal((await ledger.totals()).duplicates, 0);
      t.same(await parts(ledger), [2]);
    },
  );
}
