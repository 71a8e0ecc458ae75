/** `headgate ledger accept`: tables that are missing, emptied or older become the ledger's as they are. */
import type { Clock } from '../../../shared/clock.ts';
import type { SparseLog } from '../../../shared/sparse-log.ts';
import { refusedFor } from '../../../shared/start-refused.ts';
import { consequenceOf } from '../accepted-parts.ts';
import { ENVELOPE_BYTES, RECORD_BYTES } from '../rules/retention.ts';
import { Database, type PostgresOptions, type Queryable } from './connection.ts';
import { type Fault, isAcceptable, look, refusal } from './identity.ts';
import { MARKED_TABLES, mark } from './marks.ts';
import { expectSchema, hasSchema, lock, recreate } from './schema.ts';

/**
 * A line for each table. Throws StartRefused for a table without which records would be missed or taken
 * twice, and when the server cannot be reached. A schema without a ledger has nothing to accept.
 */
export async function acceptTables(
  options: PostgresOptions,
  { clock, log }: { clock: Clock; log: SparseLog },
): Promise<string[]> {
  const { schema } = options;
  const db = new Database(options, clock, log);
  try {
    if (!(await hasSchema(db, schema))) return [];
    await expectSchema(db, schema);
    return await db.transaction((client) => acceptAll(client, schema));
  } catch (error) {
    throw refusedFor(`no ledger in PostgreSQL, schema ${schema}`, error);
  } finally {
    await db.close();
  }
}

async function acceptAll(client: Queryable, schema: string): Promise<string[]> {
  await lock(client, schema);
  const lines: string[] = [];
  for (let found = await look(client, schema); 'problem' in found; found = await look(client, schema)) {
    // Each round mends the tables of one fault.
    if (!isAcceptable(found) || lines.length > MARKED_TABLES.length) throw refusal(schema, found);
    await accept(client, schema, found);
    lines.push(...found.tables.map((table) => `table ${table}: ${consequenceOf(table) ?? ''}`));
  }
  return lines;
}

async function accept(client: Queryable, schema: string, { kind, tables }: Fault): Promise<void> {
  if (kind === 'missing') await recreate(client, schema, tables);
  if (tables.includes('share')) await countShares(client);
  for (const table of MARKED_TABLES.filter((marked) => tables.includes(marked))) {
    if (table === 'volume') await countVolumes(client);
    await mark(client, table);
  }
}

async function countVolumes(client: Queryable): Promise<void> {
  await client.query(`DELETE FROM volume; INSERT INTO volume (stream, hour, bytes, shared)
    SELECT stream, hour, sum(stored), coalesce(sum(bytes), 0) FROM (
      SELECT a.stream, a.hour, a.bytes, ${ENVELOPE_BYTES} + sum(${RECORD_BYTES} + octet_length(r.device)
        + octet_length(r.topic) + octet_length(r.payload)) AS stored
      FROM record r JOIN arrival a ON a.gateway = r.gateway AND a.id = r.arrival_id AND a.day = r.day
      WHERE a.day > 0 GROUP BY a.gateway, a.id, a.day) counted
    GROUP BY stream, hour`);
}

async function countShares(client: Queryable): Promise<void> {
  await client.query(`DELETE FROM share; INSERT INTO share (gateway, stream, bytes)
    SELECT gateway, stream, sum(bytes) FROM arrival WHERE bytes IS NOT NULL GROUP BY gateway, stream`);
}
