/** `config check --connect` of a feed to PostgreSQL: what the role may do, from the server's catalogue. */
import type { Clock } from '../../../shared/clock.ts';
import { type ConnectCheck, PhaseFailure } from '../../../shared/connect-check/phases.ts';
import { databaseWay, writableProblem } from '../../ledger/postgres/connect-check.ts';
import { Database } from '../../ledger/postgres/connection.ts';
import type { PostgresFeedOptions } from './postgres-options.ts';
import { POSITIONS } from './postgres-schema.ts';

interface Rights {
  schema: boolean;
  /** null for a table that does not exist yet. */
  records: boolean | null;
  positions: boolean | null;
  makesSchema: boolean;
  makesTables: boolean | null;
}

export function postgresFeedConnectCheck(options: PostgresFeedOptions, clock: Clock): ConnectCheck {
  const { url, schema, table, timeout: timeoutMs } = options;
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
      { name: 'write', option: 'url', run: () => mayWrite(db, schema, table) },
    ],
    close: async () => {
      way.close();
      await db.close();
    },
  };
}

async function mayWrite(db: Database, schema: string, table: string): Promise<string> {
  const problem = await writableProblem(db);
  if (problem !== null) throw new PhaseFailure(problem, { fix: 'name the primary server' });
  const { rows } = await db.query<Rights>(
    `SELECT to_regnamespace($1) IS NOT NULL AS schema,
       has_table_privilege(to_regclass($2), 'INSERT') AS records,
       has_table_privilege(to_regclass($3), 'SELECT, INSERT, UPDATE') AS positions,
       has_database_privilege(current_database(), 'CREATE') AS "makesSchema",
       CASE WHEN to_regnamespace($1) IS NULL THEN NULL
         ELSE has_schema_privilege(to_regnamespace($1), 'CREATE') END AS "makesTables"`,
    [schema, `${schema}.${table}`, `${schema}.${POSITIONS}`],
  );
  const [rights] = rows;
  if (!rights) throw new Error('the server did not say what this role may do');
  const { records, positions } = rights;
  if (records === false || positions === false) {
    const fix = `GRANT SELECT, INSERT, UPDATE ON ${schema}.${records === false ? table : POSITIONS} TO the role`;
    throw new PhaseFailure('this role may not write to the table', { option: 'table', fix });
  }
  if (records === null || positions === null) {
    if (rights.schema ? rights.makesTables : rights.makesSchema) return 'the tables will be made';
    const fix = rights.schema
      ? `GRANT CREATE ON SCHEMA ${schema} TO the role`
      : 'make the schema, or GRANT CREATE ON DATABASE';
    throw new PhaseFailure('this role may not make the missing tables', { option: 'schema', fix });
  }
  return `may insert into ${schema}.${table}; nothing was written`;
}
