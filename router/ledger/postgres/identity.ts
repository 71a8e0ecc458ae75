/**
 * The identity of the tables, and the check that they belong together: `head`, `cursor` and `checkpoint`
 * carry the ledger's id. A table that is missing, emptied, older than another, or of another ledger is never
 * recreated.
 */
import { EXIT } from '../../../shared/exit-codes.ts';
import { StartRefused } from '../../../shared/start-refused.ts';
import { LedgerLost } from '../types.ts';
import type { Database, Queryable } from './connection.ts';

const TABLES = [
  'arrival',
  'boot_clock',
  'checkpoint',
  'conflict',
  'contact',
  'cursor',
  'dead_letter',
  'erasure',
  'head',
  'ping',
  'record',
  'repetition',
  'schema_version',
  'stream',
  'volume',
];

/** A whole ledger, and its last offset. */
interface Identified {
  id: string;
  offset: number;
}

interface Identity {
  head: string | null;
  cursor: string | null;
  checkpoint: string | null;
  offset: number | null;
  lastArrival: number;
  /** The noted position of the ledger. */
  noted: number | null;
}

/** Id and last offset of the ledger in `schema`. Throws StartRefused when its tables are not complete. */
export async function openIdentity(db: Database, schema: string): Promise<Identified> {
  const found = await db.transaction((client) => look(client, schema));
  if ('problem' in found) throw new StartRefused(`ledger in schema ${schema}: ${found.problem}`, EXIT.config);
  return found;
}

/** The last offset. Throws LedgerLost when the tables no longer belong to the ledger `id`. */
export async function checkIdentity(db: Database, schema: string, id: string): Promise<number> {
  const found = await db.transaction((client) => look(client, schema));
  if ('problem' in found) throw new LedgerLost(`ledger in schema ${schema}: ${found.problem}`);
  if (found.id !== id) throw new LedgerLost(`ledger in schema ${schema}: it was made anew`);
  return found.offset;
}

/** Notes the ledger's position, in a table apart from `head`. */
export async function noteOffset(db: Database): Promise<void> {
  await db.query("UPDATE cursor SET last_offset = (SELECT last_offset FROM head) WHERE feed = ''");
}

async function look(client: Queryable, schema: string): Promise<Identified | { problem: string }> {
  const { rows: tables } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = ANY ($2::text[])`,
    [schema, TABLES],
  );
  const there = new Set(tables.map(({ name }) => name));
  const gone = TABLES.filter((name) => !there.has(name));
  if (gone.length === TABLES.length) return { problem: 'all of its tables are gone' };
  if (gone.length > 0) return { problem: `it lost a part: table ${gone.join(', ')} is missing` };
  const { rows } = await client.query<Identity>(
    `SELECT (SELECT ledger_id FROM head) AS head, (SELECT last_offset FROM head) AS "offset",
       (SELECT convert_from(progress, 'UTF8') FROM cursor WHERE feed = '') AS cursor,
       (SELECT position FROM checkpoint WHERE source = '' AND partition = '') AS checkpoint,
       (SELECT coalesce(max(last_offset), 0) FROM arrival) AS "lastArrival",
       (SELECT last_offset FROM cursor WHERE feed = '') AS noted`,
  );
  const [identity] = rows;
  if (!identity || identity.head === null || identity.offset === null) return { problem: 'head is empty' };
  const { head: id, offset, lastArrival, noted } = identity;
  for (const table of ['cursor', 'checkpoint'] as const) {
    if (identity[table] === null) return { problem: `table ${table} was emptied` };
    if (identity[table] !== id) return { problem: `table ${table} is of another ledger` };
  }
  if (lastArrival > offset)
    return { problem: `head ends at offset ${offset}, and records at ${lastArrival}` };
  if (noted !== null && noted > offset) {
    return { problem: `it ends at offset ${offset}, and had come to ${noted}: an older copy` };
  }
  return { id, offset };
}
