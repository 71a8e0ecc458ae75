/**
 * The PostgreSQL engine for the ledger's contract: a place is a schema of the server that the suite started.
 */
import pg from 'pg';
import type { PostgresOptions } from '../../router/ledger/postgres/connection.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { MIGRATIONS } from '../../router/ledger/postgres/schema.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import type { LedgerEngine } from '../router/ledger/engine.ts';
import { LIMITS } from '../router/ledger/limits.ts';
import { until } from '../until.ts';

/** Where the suite tells the server to this module, also in the processes it kills. */
export const URL_VARIABLE = 'HEADGATE_TEST_POSTGRES_URL';

export function optionsOf(place: string): PostgresOptions {
  const url = `${process.env[URL_VARIABLE] ?? ''}?application_name=${place}`;
  return { url, schema: place, connectionsMax: 4, timeoutMs: 10_000 };
}

export const engine: LedgerEngine = {
  name: 'postgres',
  async open(place, options) {
    await untilAlone(place);
    return openPostgresLedger({
      ...optionsOf(place),
      limits: LIMITS,
      ...options,
      clock: systemClock,
      log: createLogger({ level: 'silent', levels: {} }),
    });
  },
  place: (_folder, name) => `t_${name.replaceAll('-', '_')}`,
  async withoutShares(place) {
    await untilAlone(place);
    const client = new pg.Client({ connectionString: process.env[URL_VARIABLE] });
    await client.connect();
    await client.query(`SET search_path = ${place}; DROP TABLE share; DROP INDEX arrival_share;
      ALTER TABLE arrival DROP COLUMN bytes; ALTER TABLE volume DROP COLUMN shared;
      DELETE FROM schema_version WHERE version > ${MIGRATIONS.findIndex((step) => step.includes('TABLE share'))}`);
    await client.end();
  },
};

/** The server ends the last transaction of a killed process a moment after the kill. */
async function untilAlone(place: string): Promise<void> {
  const client = new pg.Client({ connectionString: process.env[URL_VARIABLE] });
  await client.connect();
  await until('the old transactions are over', async () => {
    // A pooler keeps its connections, idle ones.
    const { rowCount } = await client.query(
      "SELECT FROM pg_stat_activity WHERE application_name = $1 AND state <> 'idle' AND pid <> pg_backend_pid()",
      [place],
    );
    return rowCount === 0;
  });
  await client.end();
}
