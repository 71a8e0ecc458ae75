/** The ledger on a real PostgreSQL: the contract of every engine, and what only a shared server can do to it. */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { runLedgerContract } from '../router/ledger/contract.ts';
import { postgres } from './postgres.ts';
import { URL_VARIABLE } from './postgres-engine.ts';

t.setTimeout(600_000);
const server = await postgres();
t.teardown(() => server.remove());
await server.start();
process.env[URL_VARIABLE] = server.url;

await runLedgerContract(t, fileURLToPath(new URL('./postgres-engine.ts', import.meta.url)));
