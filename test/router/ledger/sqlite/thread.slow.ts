/** The contract of every engine on the SQLite ledger as the router has it: each ledger is a thread. */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { runLedgerContract } from '../contract.ts';

t.setTimeout(900_000);
await runLedgerContract(t, fileURLToPath(new URL('thread-engine.ts', import.meta.url)));
