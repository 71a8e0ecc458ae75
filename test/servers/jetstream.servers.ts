/** The ledger on a real JetStream cluster: the contract of every engine, and what only a cluster can do to it. */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { runLedgerContract } from '../router/ledger/contract.ts';
import { leaseCases } from '../router/ledger/lease-cases.ts';
import { engine, SERVERS_VARIABLE } from './jetstream-engine.ts';
import { natsCluster } from './nats-cluster.ts';

t.setTimeout(900_000);
const cluster = await natsCluster();
t.teardown(() => cluster.remove());
process.env[SERVERS_VARIABLE] = cluster.servers.join(' ');

await runLedgerContract(t, fileURLToPath(new URL('./jetstream-engine.ts', import.meta.url)));

leaseCases(t, engine);
