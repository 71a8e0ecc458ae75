/**
 * A router-like process with a PostgreSQL feed, to be killed on its way. Arguments: ledger file, URL, schema.
 */
import { Feed } from '../../router/feeds/feed.ts';
import { PostgresSink } from '../../router/feeds/sinks/postgres.ts';
import { postgresFeedOptions } from '../../router/feeds/sinks/postgres-options.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';

const [file = '', url = '', schema = ''] = process.argv.slice(2);
const log = createLogger({ level: 'silent', levels: {} });
const ledger = await openSqliteLedger({ file, clock, log });
const sink = new PostgresSink('table', postgresFeedOptions.parse({ url, schema }), { clock, log });
await new Feed({ name: 'table', ledger, sink, clock, entropy, log, batchRecords: 10 }).start();
