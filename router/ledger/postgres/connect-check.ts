/**
 * `config check --connect` of a PostgreSQL ledger, from the server's catalogue and the ledger's own tables.
 * Nothing is created, migrated or locked.
 */
import type { Clock } from '../../../shared/clock.ts';
import { type ConnectCheck, type Phase, PhaseFailure } from '../../../shared/connect-check/phases.ts';
import { wayPhases } from '../../../shared/connect-check/way.ts';
import { addressOf, Database } from './connection.ts';
import { openIdentity } from './identity.ts';
import type { PostgresLedgerConfig } from './options.ts';
import { checkServer, hasSchema, MIGRATIONS } from './schema.ts';

/** A socket's folder has no name to look up, and no port. TLS begins within PostgreSQL's protocol: login. */
export function databaseWay(url: string, clock: Clock): { phases: readonly Phase[]; close: () => void } {
  const { host, port } = addressOf(url);
  if (host.startsWith('/')) return { phases: [], close: () => undefined };
  return wayPhases({ targets: [{ host, port }], option: 'url', tls: null, network: null, clock });
}

/** Why the server takes no writes at all; null when it does. */
export async function writableProblem(db: Database): Promise<string | null> {
  const { rows } = await db.query<{ standby: boolean; readonly: string }>(
    `SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS readonly`,
  );
  if (rows[0]?.standby) return 'the server is a standby: it takes no writes';
  return rows[0]?.readonly === 'on' ? 'transactions of this role are read-only' : null;
}

export function postgresLedgerConnectCheck(options: PostgresLedgerConfig, clock: Clock): ConnectCheck {
  const { url, schema, timeout: timeoutMs } = options;
  const way = databaseWay(url, clock);
  const db = new Database({ url, schema, connectionsMax: 1, timeoutMs }, clock, { warn: () => undefined });
  return {
    phases: [
      ...way.phases,
      {
        name: 'login',
        option: 'url',
        run: async () => {
          await db.query('SELECT 1');
          return null;
        },
      },
      { name: 'open', option: 'schema', run: () => opens(db, schema) },
    ],
    close: async () => {
      way.close();
      await db.close();
    },
  };
}

async function opens(db: Database, schema: string): Promise<string> {
  await checkServer(db);
  const problem = await writableProblem(db);
  if (problem !== null) throw new PhaseFailure(problem, { option: 'url', fix: 'name the primary server' });
  if (!(await hasSchema(db, schema))) return mayMake(db, schema);
  const { rows } = await db.query<{ version: number | null; writes: boolean }>(
    `SELECT (SELECT max(version) FROM schema_version) AS version,
       has_table_privilege('head', 'SELECT, UPDATE') AS writes`,
  );
  const version = rows[0]?.version ?? 0;
  if (version > MIGRATIONS.length) {
    const message = `ledger schema ${version}, where this version of Headgate knows up to ${MIGRATIONS.length}`;
    throw new PhaseFailure(message, { fix: 'install the newer Headgate' });
  }
  if (rows[0]?.writes !== true)
    throw new PhaseFailure('this role may not write to the ledger', {
      fix: `make the role the owner of ${schema}`,
    });
  if (version < MIGRATIONS.length)
    return `ledger schema ${version}: the router brings it to ${MIGRATIONS.length}`;
  const { offset } = await openIdentity(db, schema);
  return `ledger with ${offset} records`;
}

async function mayMake(db: Database, schema: string): Promise<string> {
  const { rows } = await db.query<{ may: boolean }>(
    `SELECT CASE WHEN to_regnamespace($1) IS NULL THEN has_database_privilege(current_database(), 'CREATE')
       ELSE has_schema_privilege(to_regnamespace($1), 'CREATE') END AS may`,
    [schema],
  );
  if (rows[0]?.may === true) return 'no ledger yet: the router will make it';
  const fix = `GRANT CREATE on the database, or make the schema ${schema} and give it to the role`;
  throw new PhaseFailure('there is no ledger, and this role may not make one', { fix });
}
