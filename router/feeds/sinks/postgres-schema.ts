/** The tables of a PostgreSQL feed in the destination's database: made when missing, never changed. */
import type { Queryable } from '../../ledger/postgres/connection.ts';

/** `witness` is the id of the record at the ledger's `witness_offset`: it identifies that ledger. */
export const POSITIONS = 'headgate_feed';

/** Rejects when the encoding of the database cannot hold every record. */
export async function createTables(client: Queryable, schema: string, table: string): Promise<void> {
  const { rows } = await client.query<{ encoding: string; there: boolean }>(
    `SELECT current_setting('server_encoding') AS encoding,
       EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS there,
       pg_advisory_xact_lock(hashtextextended('headgate feed', 0))`,
    [schema],
  );
  if (rows[0]?.encoding !== 'UTF8') throw new Error('the encoding of the database must be UTF8');
  // IF NOT EXISTS needs the right to create even when the schema exists.
  if (!rows[0].there) await client.query(`CREATE SCHEMA ${schema}`);
  await client.query(
    `CREATE TABLE IF NOT EXISTS ${schema}.${table} (
       gateway text NOT NULL,
       epoch text NOT NULL,
       stream text NOT NULL,
       seq bigint NOT NULL,
       device text NOT NULL,
       topic text NOT NULL,
       time timestamptz,
       clock_quality text NOT NULL,
       received timestamptz NOT NULL,
       source text NOT NULL,
       payload jsonb,
       payload_bytes bytea,
       PRIMARY KEY (gateway, epoch, stream, seq),
       CHECK ((payload IS NULL) <> (payload_bytes IS NULL))
     )`,
  );
  await client.query(
    `CREATE TABLE IF NOT EXISTS ${schema}.${POSITIONS} (
       feed text PRIMARY KEY,
       last_offset bigint NOT NULL,
       progress bytea NOT NULL,
       witness_offset bigint,
       witness text
     )`,
  );
}
